package place

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// node is a value in an object, and where it stands.
type node struct {
	value   any
	place   string
	pointer string
}

// key returns what an object holds under k: a nil value if it holds nothing, or is no
// object, which [walk.object] complains about.
func (n node) key(k string) node {
	m, _ := n.value.(map[string]any)
	place := k
	if n.place != "" {
		place = n.place + "." + k
	}
	return node{m[k], place, n.pointer + "/" + escape(k)}
}

// named returns what an object holds under a key that anybody may choose.
func (n node) named(k string, i int) node {
	m, _ := n.value.(map[string]any)
	return node{m[k], n.place + "[" + label(k, i) + "]", n.pointer + "/" + escape(k)}
}

// escape writes a key as RFC 6901 does.
func escape(k string) string {
	return strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1")
}

// plainName is what names of containers, volumes, variables and annotations look like.
// Everything else is told by position, so that no name can spell another place.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_./-]{1,317}$`) // 253 of a prefix, a slash, 63 of a name

func label(name string, i int) string {
	if name != "" && plainName.MatchString(name) {
		return name
	}
	return "#" + strconv.Itoa(i)
}

// walk goes through one object and collects what it finds.
type walk struct {
	found        []Found
	err          error
	runs         bool // what is found is started from here
	kserve       bool // containers are KServe's: a variable STORAGE_URI names the model
	depth        int
	environments map[string]bool
	notes        map[string]bool
	places       map[string]int
}

func newWalk(o Options) *walk {
	w := &walk{environments: map[string]bool{}, notes: map[string]bool{}, places: map[string]int{}}
	for _, name := range o.Environments {
		w.environments[name] = true
	}
	for _, name := range o.Annotations {
		w.notes[name] = true
	}
	return w
}

// add keeps f, found at n, under a place of its own.
func (w *walk) add(n node, f Found) {
	if len(w.found) >= maxFound {
		w.fail(overLimit(n.place, "names more than %d things", maxFound))
		return
	}
	f.Place, f.Runs = n.place, w.runs
	if c := w.places[n.place]; c > 0 {
		// A second reference in one text. No name has a #, so this is nobody's place.
		f.Place += "#" + strconv.Itoa(c+1)
	}
	w.places[n.place]++
	w.found = append(w.found, f)
}

// problem keeps that n, which ought to be looked at, cannot be read.
func (w *walk) problem(n node, why string) {
	f := Found{Problem: why}
	if s, ok := n.value.(string); ok {
		f.Value, f.Text, f.Pointer = s, s, n.pointer
	} else if b, err := json.Marshal(n.value); err == nil {
		f.Text = string(b) // objects by sorted keys: the same value is the same text
	} else { // unreachable of what JSON decodes to
		w.fail(overLimit(n.place, "holds what is no JSON"))
	}
	w.add(n, f)
}

// result returns what was found. What two rules found at one pointer is one thing if both
// read it alike; otherwise both stay, and nothing is written there.
func (w *walk) result() []Found {
	at := map[string][]int{}
	drop := map[int]bool{}
	for i, f := range w.found {
		if f.Pointer == "" {
			continue
		}
		same := slices.IndexFunc(at[f.Pointer], func(j int) bool { return w.found[j].alike(f) })
		if same >= 0 {
			j := at[f.Pointer][same]
			w.found[j].Runs = w.found[j].Runs || f.Runs
			drop[i] = true
			continue
		}
		at[f.Pointer] = append(at[f.Pointer], i)
	}
	var out []Found
	for i, f := range w.found {
		if drop[i] {
			continue
		}
		if len(at[f.Pointer]) > 1 {
			f.Pointer = ""
		}
		out = append(out, f)
	}
	return out
}

// alike reports whether f and g read the same of one text.
func (f Found) alike(g Found) bool {
	return f.Value == g.Value && f.Text == g.Text && f.Reference == g.Reference && f.Problem == g.Problem
}

func (w *walk) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// object reports whether n is an object. Nothing at all is none, as it is to the API
// server; anything else cannot be read.
func (w *walk) object(n node) bool {
	if n.value == nil {
		return false
	}
	if _, ok := n.value.(map[string]any); !ok {
		if w.places[n.place] > 0 {
			return false // several rules lead here, and one has said so
		}
		w.problem(n, "cannot be read: it is "+shape(n.value)+" where an object belongs")
		return false
	}
	return true
}

// members returns the members of the object n, sorted by key.
func (w *walk) members(n node) []node {
	if !w.object(n) {
		return nil
	}
	var out []node
	m, _ := n.value.(map[string]any)
	for i, k := range sortedKeys(m) {
		out = append(out, n.named(k, i))
	}
	return out
}

// elements returns what the list n holds, each by the text under its key, or by position
// if key is "", the text is no name, or another one had it before.
func (w *walk) elements(n node, key string) []node {
	if n.value == nil {
		return nil
	}
	list, ok := n.value.([]any)
	if !ok {
		w.problem(n, "cannot be read: it is "+shape(n.value)+" where a list belongs")
		return nil
	}
	return elements(n, list, key)
}

func elements(n node, list []any, key string) []node {
	out := make([]node, len(list))
	seen := map[string]bool{}
	for i, v := range list {
		name := ""
		if m, ok := v.(map[string]any); ok && key != "" {
			name, _ = m[key].(string)
		}
		if seen[name] {
			name = ""
		}
		seen[name] = true
		out[i] = node{v, n.place + "[" + label(name, i) + "]", n.pointer + "/" + strconv.Itoa(i)}
	}
	return out
}

// text returns the text at n: ok is false if there is none or an empty one, which names
// nothing, and if n is no text, which is kept as a problem.
func (w *walk) text(n node) (s string, ok bool) {
	if n.value == nil {
		return "", false
	}
	s, ok = n.value.(string)
	if !ok {
		w.problem(n, "cannot be read: it is "+shape(n.value)+" where a text belongs")
		return "", false
	}
	if len(s) > maxText {
		w.fail(overLimit(n.place, "a text of %d bytes; at most %d are read", len(s), maxText))
		return "", false
	}
	return s, s != ""
}

// deeper runs f one level further down, unless that is too deep.
func (w *walk) deeper(n node, f func()) {
	if w.depth >= maxDepth {
		w.fail(overLimit(n.place, "more than %d levels deep", maxDepth))
		return
	}
	w.depth++
	f()
	w.depth--
}

// shape says what v is, for people.
func shape(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "true or false"
	}
	return "a number"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
