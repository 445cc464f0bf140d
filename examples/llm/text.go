package llm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// leastText is the shortest text that is worth learning from.
const leastText = 1000

// ingest checks a text and copies it.
func ingest(s steps.Surroundings, in, out string) error {
	data, err := steps.ReadFile(in, maxFile)
	if err != nil {
		return err
	}
	if _, err := tokensOf(data); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if err := steps.WriteDir(out, steps.Files{"text.txt": data}); err != nil {
		return err
	}
	fmt.Fprintf(s.Stdout, "checked %d characters\n", len(data))
	return nil
}

func tokensOf(text []byte) ([]int, error) {
	if len(text) < leastText {
		return nil, fmt.Errorf("a text of %d characters, want at least %d", len(text), leastText)
	}
	return encode(text)
}

// readText reads the one text file of a directory.
func readText(dir string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%s holds %d text files, want exactly one", dir, len(names))
	}
	return steps.ReadFile(names[0], maxFile)
}

func readTokens(dir string) ([]int, error) {
	text, err := readText(dir)
	if err != nil {
		return nil, err
	}
	tokens, err := tokensOf(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return tokens, nil
}

// prepare gives every fifth paragraph to the test set. Paragraphs stay whole: the
// window would otherwise see into the other set.
func prepare(s steps.Surroundings, in, trainOut, testOut string) error {
	err := errors.Join(
		steps.CheckOutside(trainOut, in, testOut), steps.CheckOutside(testOut, in, trainOut),
		steps.CheckAbsent(trainOut), steps.CheckAbsent(testOut))
	if err != nil {
		return err
	}
	text, err := readText(in)
	if err != nil {
		return err
	}
	var train, test []byte
	for i, p := range bytes.SplitAfter(text, []byte("\n\n")) {
		if i%5 == 4 {
			test = append(test, p...)
		} else {
			train = append(train, p...)
		}
	}
	for _, part := range [][]byte{train, test} {
		if _, err := tokensOf(part); err != nil {
			return err
		}
	}
	if err := steps.WriteDir(trainOut, steps.Files{"train.txt": train}); err != nil {
		return err
	}
	if err := steps.WriteDir(testOut, steps.Files{"test.txt": test}); err != nil {
		return errors.Join(err, os.RemoveAll(trainOut)) // one part alone is no split
	}
	fmt.Fprintf(s.Stdout, "%d characters to train on, %d to test on\n", len(train), len(test))
	return nil
}
