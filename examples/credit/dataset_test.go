package credit

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

func germanCredit(t *testing.T) []row {
	t.Helper()
	rows, err := parseDataset(string(Data()))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestDataIsTheAttributedFile(t *testing.T) {
	const want = "38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632"
	if got := fmt.Sprintf("%x", sha256.Sum256(Data())); got != want {
		t.Errorf("data has SHA-256 %s, want %s", got, want)
	}
	for _, want := range []string{"Hans Hofmann", "CC BY 4.0", "https://archive.ics.uci.edu/dataset/144/"} {
		if !strings.Contains(string(Attribution()), want) {
			t.Errorf("the attribution lacks %q", want)
		}
	}
}

func TestDataCannotBeChangedByItsCaller(t *testing.T) {
	Data()[0] = 'X'
	if Data()[0] != 'c' {
		t.Error("writing to the result of Data changed the data")
	}
}

func TestDatasetRoundTrip(t *testing.T) {
	rows := germanCredit(t)
	if len(rows) != 1000 {
		t.Fatalf("%d rows, want 1000", len(rows))
	}
	if string(formatDataset(rows)) != string(Data()) {
		t.Error("formatting the parsed data does not give it back")
	}
	if n := rows[1].number(ageColumn); n != 22 || rows[1].good() || !rows[0].good() {
		t.Errorf("row 2 has age %d and good %t, row 1 good %t; want 22, false, true", n, rows[1].good(), rows[0].good())
	}
}

func TestParseDatasetRefuses(t *testing.T) {
	lines := strings.Split(string(Data()), "\n")
	head, first := lines[0]+"\n", lines[1]+"\n"
	if _, err := parseDataset(head + first); err != nil {
		t.Fatalf("one good row must parse, or this test proves nothing: %v", err)
	}
	edit := func(old, new string) string { return head + first + strings.Replace(first, old, new, 1) }
	tests := []struct{ name, text, want string }{
		{"empty", "", "the last line does not end in a newline"},
		{"no final newline", head + lines[1], "the last line does not end in a newline"},
		{"no rows", head, "no rows after the header"},
		{"other header", strings.Replace(head, "class", "klass", 1) + first, "line 1: header is "},
		{"too few fields", edit(",good", ""), "line 3: 20 fields, want 21"},
		{"too many fields", edit(",good", ",good,"), "line 3: 22 fields, want 21"},
		{"blank line", head + "\n" + first, "line 2: 1 fields, want 21"},
		{"not an integer", edit(",1169,", ",1169.5,"), `line 3: credit_amount is "1169.5", want an integer`},
		{"second spelling", edit(",1169,", ",+1169,"), `line 3: credit_amount is "+1169", want an integer`},
		{"out of range", edit(",67,", ",670,"), "line 3: age is 670, want 18 to 120"},
		{"class", edit(",good", ",Good"), `line 3: class is "Good", want good or bad`},
		{"sex", edit("male single", "single"), `line 3: personal_status is "single", want it to begin with male or female`},
		{"foreign worker", edit(",yes,good", ",maybe,good"), `line 3: foreign_worker is "maybe", want yes or no`},
		{"empty category", edit("radio/tv", ""), "line 3: purpose has 0 bytes, want 1 to 64"},
		{"long category", edit("radio/tv", strings.Repeat("x", 65)), "line 3: purpose has 65 bytes, want 1 to 64"},
		{"quote", edit("radio/tv", `"radio"`), `line 3: purpose is "\"radio\"", want printable ASCII without quotes`},
		{"carriage return", edit("radio/tv", "radio/tv\r"), `line 3: purpose is "radio/tv\r", want printable ASCII without quotes`},
		{"too many rows", head + strings.Repeat("\n", maxRows+1), "100001 rows, want at most 100000"},
	}
	for _, test := range tests {
		rows, err := parseDataset(test.text)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
		if rows != nil {
			t.Errorf("%s: rows were returned with the error", test.name)
		}
	}
}

func TestReadDatasetWantsOneCSV(t *testing.T) {
	dir := t.TempDir()
	want := func(n int) {
		t.Helper()
		_, err := readDataset(dir)
		if msg := fmt.Sprintf("%s holds %d CSV files, want exactly one", dir, n); err == nil || err.Error() != msg {
			t.Errorf("error %v, want %q", err, msg)
		}
	}
	want(0)
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), Data(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("a.csv")
	write("README.md")
	if rows, err := readDataset(dir); err != nil || len(rows) != 1000 {
		t.Fatalf("%d rows and error %v, want 1000 and none", len(rows), err)
	}
	write("b.csv")
	want(2)
}

func TestReadFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o666); err != nil {
		t.Fatal(err)
	}
	if data, err := steps.ReadFile(path, 5); err != nil || string(data) != "12345" {
		t.Errorf("%q and error %v, want all five bytes", data, err)
	}
	if _, err := steps.ReadFile(path, 4); err == nil || err.Error() != path+" exceeds 4 bytes" {
		t.Errorf("error %v, want that the file exceeds 4 bytes", err)
	}
}
