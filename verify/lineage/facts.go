package lineage

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// maxFacts bounds what a graph repeats of one record: more is for pedigree show,
// which shows the statement itself. The longest honest record had 60.
const maxFacts = 200

// maxFact bounds the text of one fact; what is longer is cut, and says so.
const maxFact = 1000

// factsOf returns what a predicate says, as paths with their values in the order
// of paths, without what the graph shows otherwise: inputs are edges.
func factsOf(f predicate.Facts) []Fact {
	w := &factWriter{skip: skipped(f.Type)}
	w.walk("", f.Tree)
	out := w.out
	for _, in := range f.Inputs {
		if in.Digest.IsZero() {
			out = append(out, Fact{"input without digest", cut(strings.TrimSpace(in.Role + " " + in.Name + " " + in.URI))})
		}
	}
	if len(out) > maxFacts {
		more := len(out) - maxFacts
		out = append(out[:maxFacts:maxFacts], Fact{"…", fmt.Sprintf("and %d more", more)})
	}
	return out
}

// skipped lists what the graph shows in another way.
func skipped(predicateType string) []string {
	switch predicateType {
	case predicate.TypeProvenance:
		return []string{"buildDefinition.resolvedDependencies", "buildDefinition.buildType", "runDetails.byproducts", "runDetails.metadata.finishedOn"}
	case predicate.TypeEvaluation:
		return []string{"inputs", "evaluatedAt", "kind"}
	case predicate.TypeApproval:
		return []string{"approvedAt", "decision"}
	case predicate.TypeStatus, predicate.TypeDenylist:
		return []string{"artifacts"} // of the whole chain: thousands, and digests alone
	case predicate.TypeDeployment:
		return []string{"deployedAt"}
	}
	return nil
}

// A factWriter flattens a tree. Trees are at most 64 deep: the reader of payloads
// sees to it.
type factWriter struct {
	skip []string
	out  []Fact
}

func (w *factWriter) walk(path string, v any) {
	if slices.Contains(w.skip, path) || len(w.out) > 4*maxFacts {
		return // what is far over the limit need not be counted exactly
	}
	switch v := v.(type) {
	case map[string]any:
		if alg, hex, ok := digestSet(v); ok {
			w.add(path, alg+":"+hex)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			w.walk(join(path, name), v[name])
		}
	case []any:
		if text, ok := plainList(v); ok {
			w.add(path, text)
			return
		}
		for i, item := range v {
			w.walk(path+"["+strconv.Itoa(i)+"]", item)
		}
	default:
		w.add(path, textOf(v))
	}
}

func (w *factWriter) add(path, value string) {
	// What was chosen for a step is what people look for: it goes by its own name.
	if rest, ok := strings.CutPrefix(path, "buildDefinition.externalParameters."); ok {
		path = rest
	} else if rest, ok := strings.CutPrefix(path, "buildDefinition.internalParameters."); ok {
		path = "internal." + rest
	} else {
		path = strings.TrimPrefix(path, "runDetails.")
	}
	w.out = append(w.out, Fact{cut(path), cut(value)})
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// digestSet reads a digest set of one digest.
func digestSet(v map[string]any) (alg, hex string, ok bool) {
	if len(v) != 1 {
		return "", "", false
	}
	for _, a := range []string{"sha256", "gitCommit"} {
		if s, ok := v[a].(string); ok {
			return a, s, true
		}
	}
	return "", "", false
}

// plainList writes a list of plain values on one line.
func plainList(list []any) (string, bool) {
	parts := make([]string, 0, len(list))
	for _, v := range list {
		switch v.(type) {
		case map[string]any, []any:
			return "", false
		}
		parts = append(parts, textOf(v))
	}
	return strings.Join(parts, ", "), true
}

func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

// cut shortens a text to maxFact bytes, at the border of a character.
func cut(s string) string {
	if len(s) <= maxFact {
		return s
	}
	return strings.ToValidUTF8(s[:maxFact], "") + fmt.Sprintf("… (%d bytes)", len(s))
}
