package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// attacks are the rows of the catalogue of attacks on identities and who vouches for
// them (IDN), time, logs and timestamps (TIM), policies (POL), chains (CHN), the deploy
// gate (GAT) and on what is special about models (MLS).
var attacks = map[string]string{
	"IDN": "01 02 04 05 06 08 09 10 12 13 14 16 17 18 20 21 22 24",
	"TIM": "01 02 04 05 06 08 09 10 12 13 14 16 17 18 20 21",
	"POL": "01 02 04 05 06 08 09 10 12 13 14 16 17 18 20 21 22 24 25 26 28",
	"CHN": "01 02 04 05 06 08 09 10 12 13 14 16 17 18 20 21 22",
	"GAT": "01 02 04 05 06 08 09 10 12 13 14 16 17 18 20 21 22 24 25 26 28 29 30",
	"MLS": "01 02 04 05 06 08 09 10 12 13 14 16 17 18 20 21 22 24 25 26 28 29 30",
}

// Every attack is tried by a test that names it, or a script that does: a row that
// nobody tries any more is found here.
func TestEveryAttackIsTried(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`\b(?:IDN|TIM|POL|CHN|GAT|MLS)-\d\d\b`)
	tried := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && path != root && strings.HasPrefix(name, "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go") && filepath.Ext(name) != ".txtar":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, id := range row.FindAllString(name+"\n"+string(text), -1) {
			tried[id] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for group, numbers := range attacks {
		for n := range strings.FieldsSeq(numbers) {
			if !tried[group+"-"+n] {
				missing = append(missing, group+"-"+n)
			}
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("no test names %s", strings.Join(missing, ", "))
	}
}
