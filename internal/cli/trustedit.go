package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
)

// editTrust adds an entry to the text of a trust file, and makes its version one higher.
// The rest stays as it is, byte for byte: comments say why somebody is believed, and a
// diff shows who was added and nothing else.
func editTrust(src []byte, e *trustEntry) (edited []byte, version int, err error) {
	text := string(src)
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for ; e != nil; e = e.also {
		if text, err = addEntry(text, e); err != nil {
			return nil, 0, err
		}
	}
	root, err := mapping(text)
	if err != nil {
		return nil, 0, err
	}
	var n *yaml.Node
	if m := lookup(root, "metadata"); m != nil {
		n = lookup(m, "version")
	}
	if n == nil {
		return nil, 0, notEditable("metadata.version is missing")
	}
	if version, err = strconv.Atoi(n.Value); err != nil {
		return nil, 0, notEditable("metadata.version is no number")
	}
	version++
	lines := strings.SplitAfter(text, "\n")
	line := lines[n.Line-1]
	at := byteColumn(line, n.Column)
	if !strings.HasPrefix(line[at:], n.Value) {
		return nil, 0, notEditable("metadata.version is written in a way that cannot be changed")
	}
	lines[n.Line-1] = line[:at] + strconv.Itoa(version) + line[at+len(n.Value):]
	return []byte(strings.Join(lines, "")), version, nil
}

func notEditable(why string) error {
	return &attest.Refusal{Code: attest.CodeTrustRoot, Why: why, Next: "correct the file by hand; pedigree trust lint says where"}
}

// byteColumn is where a column begins, which YAML counts from 1 in characters.
func byteColumn(line string, column int) int {
	for i := range line {
		if column--; column == 0 {
			return i
		}
	}
	return len(line)
}

func mapping(text string) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeTrustRoot, Why: "not YAML", Err: err}
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode || doc.Content[0].Style&yaml.FlowStyle != 0 {
		return nil, notEditable("not a mapping with one key a line")
	}
	return doc.Content[0], nil
}

func lookup(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// addEntry puts the entry at the end of its list, or a new list at the end of the file.
func addEntry(text string, e *trustEntry) (string, error) {
	root, err := mapping(text)
	if err != nil {
		return "", err
	}
	list := lookup(root, e.list)
	switch {
	case list == nil:
		return text + "\n" + e.list + ":\n" + indent(e.text, "  "), nil
	case list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || len(list.Content) == 0:
		return "", notEditable(fmt.Sprintf("%s is not a list with one entry a line, to which one could be added", e.list))
	}
	lines := strings.SplitAfter(text, "\n")
	dash := list.Column - 1
	// After the last entry's last line: behind what the parser saw of it, and what is
	// indented further, such as a text over several lines.
	end := last(list)
	for end < len(lines) && deeper(lines[end], dash) {
		end++
	}
	lines = slices.Insert(lines, end, indent(e.text, strings.Repeat(" ", dash)))
	return strings.Join(lines, ""), nil
}

// last is the last line on which a node, or one in it, begins.
func last(n *yaml.Node) int {
	line := n.Line
	for _, c := range n.Content {
		line = max(line, last(c))
	}
	return line
}

// deeper reports whether a line is indented by more than n and is no comment.
func deeper(line string, n int) bool {
	rest := strings.TrimLeft(line, " ")
	return strings.TrimSpace(rest) != "" && len(line)-len(rest) > n
}

// yamlText writes a YAML string: bare where every reader takes it for one.
func yamlText(s string) string {
	bare := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-") == ""
	if first := s[:min(1, len(s))]; bare && strings.Trim(first, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ./_") == "" &&
		!slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s)
}
