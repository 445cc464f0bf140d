package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// vocabulary is the number of tokens: the line feed and printable ASCII. A text
// with another character is refused, so no token stands for "something else".
const vocabulary = 96

// encode returns the tokens of text: 0 is the line feed, 1 the space, and so on
// in the order of ASCII.
func encode(text []byte) ([]int, error) {
	tokens := make([]int, len(text))
	for i, c := range text {
		switch {
		case c == '\n':
		case c >= ' ' && c <= '~':
			tokens[i] = int(c-' ') + 1
		default:
			return nil, fmt.Errorf("byte %d is %#02x, want printable ASCII or a line feed", i, c)
		}
	}
	return tokens, nil
}

// tokenizer is the content of tokenizer.json. This program knows its vocabulary;
// others learn it from here.
type tokenizer struct {
	Version    string   `json:"version"`
	Type       string   `json:"type"`
	Vocabulary []string `json:"vocabulary"`
}

func newTokenizer() tokenizer {
	t := tokenizer{"1.0", "character", []string{"\n"}}
	for c := byte(' '); c <= '~'; c++ {
		t.Vocabulary = append(t.Vocabulary, string(c))
	}
	return t
}

func (t tokenizer) check() error {
	want := newTokenizer()
	if t.Version != want.Version || t.Type != want.Type || !slices.Equal(t.Vocabulary, want.Vocabulary) {
		return errors.New("another tokenizer than this program's")
	}
	return nil
}

// parseJSON reads one value. An unknown member is refused: it could change what
// the model says, and this code would not know.
func parseJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
