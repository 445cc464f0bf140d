package attest

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxPath bounds a file's path; it is the limit of Linux.
	maxPath = 4096

	// maxPathParts bounds how deep folders nest, as deep as strict JSON. Without
	// the bound one path would stand for 2,048 folders, and a manifest of such
	// paths for millions.
	maxPathParts = 64
)

// CheckPath refuses a file path that could mean different files on different
// systems or leave its folder: absolute, with "." or ".." or empty parts, with
// backslashes, colons, control or invisible characters, with parts that begin or
// end in a space, end in a dot or are device names on Windows, not valid UTF-8,
// or not in Unicode's normal form C. It returns E_PATH.
func CheckPath(p string) error {
	bad := func(why string) error { return &Refusal{Code: CodePath, About: clip(p), Why: why} }
	switch {
	case p == "" || len(p) > maxPath:
		return bad("empty or too long")
	case !utf8.ValidString(p):
		return bad("not valid UTF-8")
	case strings.ContainsAny(p, "\\:") || strings.IndexFunc(p, unprintable) >= 0:
		return bad("backslash, colon, control or invisible character")
	case !norm.NFC.IsNormalString(p):
		return bad("not in normal form C: the same name has another spelling")
	case strings.Count(p, "/") >= maxPathParts:
		return bad("folders nested too deep")
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return bad("not a plain relative path")
		case strings.HasSuffix(part, " ") || strings.HasSuffix(part, ".") || strings.HasPrefix(part, " "):
			return bad("a part begins or ends in a space, or ends in a dot")
		case deviceName(part):
			return bad("a device's name on some systems")
		}
	}
	return nil
}

// deviceName reports whether Windows takes a name for a device, whatever follows
// its first dot. The superscript digits are no joke: Windows takes them too.
func deviceName(part string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(part), ".")
	switch base = strings.TrimRight(base, " "); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, isCOM := strings.CutPrefix(base, "COM")
	if !isCOM {
		var isLPT bool
		if port, isLPT = strings.CutPrefix(base, "LPT"); !isLPT {
			return false
		}
	}
	return utf8.RuneCountInString(port) == 1 && strings.Contains("123456789¹²³", port)
}

// foldPath maps paths that a file system without regard to case takes for one
// to one text: full case folding, and the normal form again.
func foldPath(p string) string { return norm.NFC.String(cases.Fold().String(p)) }

// A pathSet collects the paths of one artifact and refuses those that cannot
// lie side by side on every system.
type pathSet struct {
	files map[string]string // folded path of a file → the path as written
	dirs  map[string]string // folded path of each folder above a file → as written
}

func (s *pathSet) add(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	if s.files == nil {
		s.files, s.dirs = map[string]string{}, map[string]string{}
	}
	f := foldPath(p)
	if old, ok := s.files[f]; ok {
		if old == p {
			return &Refusal{Code: CodeDup, About: clip(p), Why: "the path occurs twice"}
		}
		return &Refusal{Code: CodePath, About: clip(p), Why: "differs from " + clip(old) + " only in case"}
	}
	if _, ok := s.dirs[f]; ok {
		return &Refusal{Code: CodePath, About: clip(p), Why: "a file where another file's path needs a folder"}
	}
	// Folding changes no slash, so the folded folders are the beginnings of f.
	for i, j := 0, 0; ; i, j = i+1, j+1 {
		di, dj := strings.IndexByte(p[i:], '/'), strings.IndexByte(f[j:], '/')
		if di < 0 {
			break
		}
		i, j = i+di, j+dj
		dir, fd := p[:i], f[:j]
		if _, ok := s.files[fd]; ok {
			return &Refusal{Code: CodePath, About: clip(p), Why: "needs a folder where another path is a file"}
		}
		if old, ok := s.dirs[fd]; ok && old != dir {
			return &Refusal{Code: CodePath, About: clip(p), Why: "its folder differs from " + clip(old) + " only in case"}
		}
		s.dirs[fd] = dir
	}
	s.files[f] = p
	return nil
}

// CheckPaths refuses a set of paths of which one is malformed (E_PATH), two are
// equal (E_DUP), or two cannot lie side by side on every system (E_PATH).
func CheckPaths(paths []string) error {
	var s pathSet
	for _, p := range paths {
		if err := s.add(p); err != nil {
			return err
		}
	}
	return nil
}
