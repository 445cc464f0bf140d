package rows

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// separators are those that PyPI takes for one: a package has many spellings.
var separators = regexp.MustCompile(`[-_.]+`)

func pypiName(s string) string {
	return separators.ReplaceAllString(strings.ToLower(strings.TrimSpace(s)), "-")
}

// requirement takes apart NAME[EXTRA]==VERSION and its like.
var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*)$`)

// pip reads what pip freeze, pip-compile and people write.
func (t *table) pip(text string) error {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := strings.Index(line, " #"); i >= 0 {
			line = strings.TrimSpace(line[:i])
		}
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "-"):
			t.add("option "+line, "")
			continue
		}
		fields := strings.Fields(line)
		var marks, rest []string
		for _, f := range fields {
			if hash, ok := strings.CutPrefix(f, "--hash="); ok {
				marks = append(marks, hash)
			} else {
				rest = append(rest, f)
			}
		}
		m := requirement.FindStringSubmatch(strings.Join(rest, " "))
		if m == nil || strings.Contains(m[1]+m[3], "://") && !strings.HasPrefix(m[3], "@") {
			t.add(strings.Join(rest, " "), "", marks...)
			continue
		}
		version := strings.TrimSpace(m[3])
		if exact, ok := strings.CutPrefix(version, "=="); ok && !strings.HasPrefix(exact, "=") {
			version = strings.TrimSpace(exact)
		}
		t.add(pypiName(m[1])+m[2], version, marks...)
	}
	return nil
}

// toml reads the tables [[package]] of the locks of uv, poetry, pdm and Cargo. It
// is no reader of TOML: it takes lines in the form in which those tools write them.
func (t *table) toml(text string) error {
	var name, version string
	var marks []string
	inside, found := false, false
	end := func() {
		if inside && name != "" {
			t.add(name, version, marks...)
			found = true
		}
		name, version, marks = "", "", nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "[[package]]":
			end()
			inside = true
			continue
		case strings.HasPrefix(line, "[package.") || strings.HasPrefix(line, "[[package."):
			// A part of the package, which may have names and versions of its own.
			if name != "" {
				t.add(name, version, marks...)
				found = true
			}
			inside, name, marks = false, "", nil
			continue
		case strings.HasPrefix(line, "["):
			if !strings.HasPrefix(line, "[{") {
				end()
				inside = false
				continue
			}
		}
		if !inside {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch key = strings.TrimSpace(key); key {
		case "name":
			name = tomlText(value)
		case "version":
			version = tomlText(value)
		case "source", "checksum":
			marks = append(marks, strings.TrimSpace(value))
		default:
			marks = append(marks, hashes.FindAllString(line, -1)...)
		}
	}
	end()
	if !found && strings.TrimSpace(text) != "" && !strings.Contains(text, "version") {
		return errors.New("no [[package]] in it")
	}
	return nil
}

// hashes are what locks call the hashes of a package's files.
var hashes = regexp.MustCompile(`\b(?:sha256|sha512|sha384|md5|blake2b):[0-9a-f]{16,}`)

func tomlText(s string) string {
	s = strings.TrimSpace(s)
	if text, err := strconv.Unquote(s); err == nil {
		return text
	}
	return strings.Trim(s, `'"`)
}

func (t *table) pipfile(b []byte) error {
	doc, err := strictjson.Parse(b, MaxBytes)
	if err != nil {
		return err
	}
	for _, group := range doc.Members() {
		if group.Key == "_meta" {
			continue
		}
		for _, p := range group.Value.Members() {
			name := p.Key
			if group.Key != "default" {
				name = group.Key + "/" + name
			}
			var marks []string
			if list, ok := p.Value.Get("hashes"); ok {
				for _, h := range list.Items() {
					marks = append(marks, h.Text())
				}
			}
			version, _ := p.Value.Get("version")
			t.add(name, strings.TrimPrefix(version.Text(), "=="), marks...)
		}
	}
	return nil
}

// npm reads package-lock.json: the flat list of versions 2 and 3, or the tree of
// version 1.
func (t *table) npm(b []byte) error {
	doc, err := strictjson.Parse(b, MaxBytes)
	if err != nil {
		return err
	}
	add := func(name string, p strictjson.Value) {
		var marks []string
		for _, key := range []string{"integrity", "resolved"} {
			if v, ok := p.Get(key); ok && v.Text() != "" {
				marks = append(marks, v.Text())
			}
		}
		version, _ := p.Get("version")
		t.add(name, version.Text(), marks...)
	}
	if packages, ok := doc.Get("packages"); ok {
		for _, p := range packages.Members() {
			if p.Key != "" { // the project itself
				add(strings.TrimPrefix(p.Key, "node_modules/"), p.Value)
			}
		}
		return nil
	}
	type level struct {
		prefix string
		of     strictjson.Value
	}
	for todo := []level{{"", doc}}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		list, _ := at.of.Get("dependencies")
		for _, p := range list.Members() {
			add(at.prefix+p.Key, p.Value)
			todo = append(todo, level{at.prefix + p.Key + "/", p.Value})
		}
	}
	return nil
}

// goMod reads what a module requires and replaces.
func (t *table) goMod(text string) error {
	block := ""
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			continue
		case f[0] == ")":
			block = ""
			continue
		case len(f) == 2 && f[1] == "(":
			block = f[0]
			continue
		case block != "":
			f = append([]string{block}, f...)
		}
		switch {
		case f[0] == "require" && len(f) == 3:
			t.add(f[1], f[2])
		case f[0] == "module" || len(f) < 2:
		case f[0] == "replace":
			before, after, _ := strings.Cut(strings.Join(f[1:], " "), " => ")
			t.add("replace "+before, after)
		default:
			t.add(f[0]+" "+strings.Join(f[1:len(f)-1], " "), f[len(f)-1])
		}
	}
	return nil
}

// goSum reads the modules whose contents were used, each with its hash.
func (t *table) goSum(text string) error {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case len(f) != 3:
			return fmt.Errorf("%.40q is no line of go.sum", line)
		case strings.HasSuffix(f[1], "/go.mod"):
			t.add(f[0]+" (go.mod)", strings.TrimSuffix(f[1], "/go.mod"), f[2])
		default:
			t.add(f[0], f[1], f[2])
		}
	}
	return nil
}
