// Package rows reads small text files as rows, so that two versions of one can be
// compared row by row: lock files as packages with their versions, JSON and YAML
// as values with the ways to them.
//
// The bytes come from anywhere, and what is read here decides nothing: that a file
// changed is known by its digest, and rows only say where. So a file with two
// readings is refused and not guessed at, and that rows are equal does not mean
// that files are.
package rows

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// MaxBytes is the longest file that is read. The lock file of a notebook server
	// with 400 packages has 700 kB; a vocabulary may be longer and is none of the
	// files that people read by rows.
	MaxBytes = 1 << 20

	// maxRows bounds what one file gives. A row takes about 100 bytes of memory where
	// its text may take two.
	maxRows = 1 << 17
)

// A Row is one thing that a file says.
type Row struct {
	Name string // a package, or the way to a value
	// Value is the package's version, or the value as JSON.
	Value string
	// Mark is what tells apart packages of one version: their hashes, and where they
	// come from. "" if the file does not say.
	Mark string
}

// A Kind is how a file is read. The zero Kind is of files that are not.
type Kind string

// The kinds of files.
const (
	KindPip         Kind = "pip requirements"
	KindTOML        Kind = "uv or poetry lock"
	KindPipfile     Kind = "Pipfile.lock"
	KindNPM         Kind = "package-lock.json"
	KindGoMod       Kind = "go.mod"
	KindGoSum       Kind = "go.sum"
	KindConda       Kind = "conda environment"
	KindJSON        Kind = "JSON"
	KindYAML        Kind = "YAML"
	kindUnknown     Kind = ""
	unreadableLimit      = 200 // of an error's text, which may repeat the file
)

// Packages reports whether rows of the kind are packages with versions.
func (k Kind) Packages() bool { return k != kindUnknown && k != KindJSON && k != KindYAML }

// KindOf returns how the file of that path is read, by its name: what a file is
// called is what the tools that read it go by.
func KindOf(file string) Kind {
	name := strings.ToLower(path.Base(file))
	switch name {
	case "uv.lock", "poetry.lock", "pdm.lock", "cargo.lock":
		return KindTOML
	case "pipfile.lock":
		return KindPipfile
	case "package-lock.json", "npm-shrinkwrap.json":
		return KindNPM
	case "go.mod":
		return KindGoMod
	case "go.sum":
		return KindGoSum
	case "pip-freeze.txt", "freeze.txt", "constraints.txt", "requirements.lock":
		return KindPip
	case "environment.yml", "environment.yaml", "conda.yml", "conda.yaml":
		return KindConda
	}
	switch ext := path.Ext(name); {
	case ext == ".txt" && strings.Contains(name, "requirements"):
		return KindPip
	case ext == ".json":
		return KindJSON
	case ext == ".yaml", ext == ".yml":
		return KindYAML
	}
	return kindUnknown
}

// Read reads a file of that kind, and returns its rows sorted by name, each name
// once. It refuses with attest.CodeLimit what is longer than MaxBytes or has too
// many rows, and with attest.CodeJSON what is not of the kind or has two readings.
func Read(k Kind, b []byte) ([]Row, error) {
	if len(b) > MaxBytes {
		return nil, attest.Refuse(attest.CodeLimit, "%d bytes, files of at most %d are compared row by row", len(b), MaxBytes)
	}
	t := &table{}
	var err error
	switch k {
	case KindPip:
		err = t.pip(string(b))
	case KindTOML:
		err = t.toml(string(b))
	case KindPipfile:
		err = t.pipfile(b)
	case KindNPM:
		err = t.npm(b)
	case KindGoMod:
		err = t.goMod(string(b))
	case KindGoSum:
		err = t.goSum(string(b))
	case KindConda:
		err = t.conda(b)
	case KindJSON:
		err = t.json(b)
	case KindYAML:
		err = t.yaml(b)
	default:
		err = fmt.Errorf("files of this name are not read by rows")
	}
	if t.over {
		return nil, attest.Refuse(attest.CodeLimit, "more than %d rows", maxRows)
	}
	if err != nil {
		why := err.Error()
		if len(why) > unreadableLimit {
			why = strings.ToValidUTF8(why[:unreadableLimit], "") + "…"
		}
		return nil, attest.Refuse(attest.CodeJSON, "%s", why)
	}
	return t.rows(), nil
}

// A table collects rows. A package may occur several times, in several versions.
type table struct {
	list []Row
	over bool
}

func (t *table) add(name, value string, marks ...string) {
	if len(t.list) >= maxRows {
		t.over = true
		return
	}
	slices.Sort(marks)
	t.list = append(t.list, Row{name, value, strings.Join(slices.Compact(marks), " ")})
}

// rows sorts the rows, and makes one of those that have one name.
func (t *table) rows() []Row {
	slices.SortFunc(t.list, func(a, b Row) int {
		return strings.Compare(a.Name+"\x00"+a.Value+"\x00"+a.Mark, b.Name+"\x00"+b.Value+"\x00"+b.Mark)
	})
	out := []Row{}
	for i := 0; i < len(t.list); {
		var values, marks []string
		n := i
		for ; n < len(t.list) && t.list[n].Name == t.list[i].Name; n++ {
			values, marks = append(values, t.list[n].Value), append(marks, t.list[n].Mark)
		}
		out = append(out, Row{t.list[i].Name, strings.Join(slices.Compact(values), ", "), strings.TrimSpace(strings.Join(slices.Compact(marks), " "))})
		i = n
	}
	return out
}

// A Difference is a row that two files do not have in common.
type Difference struct {
	Name string
	// In says which of the two have a row of the name.
	InA, InB bool
	A, B     string // their values
	// Marked is true if the values are the same and the marks differ: the same
	// version of a package, with other contents.
	Marked bool
}

// Compare returns in what the rows of two files, as Read gives them, differ, by
// name, and how many are the same.
func Compare(a, b []Row) (differ []Difference, same int) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			differ = append(differ, Difference{Name: a[0].Name, InA: true, A: a[0].Value})
			a = a[1:]
		case len(a) == 0 || a[0].Name > b[0].Name:
			differ = append(differ, Difference{Name: b[0].Name, InB: true, B: b[0].Value})
			b = b[1:]
		default:
			if a[0] == b[0] {
				same++
			} else {
				differ = append(differ, Difference{a[0].Name, true, true, a[0].Value, b[0].Value, a[0].Value == b[0].Value})
			}
			a, b = a[1:], b[1:]
		}
	}
	return differ, same
}
