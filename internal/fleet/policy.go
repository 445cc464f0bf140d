package fleet

import (
	_ "embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed policy.yaml
var policyYAML string

// Policy returns a policy for the fleet's releases, with its files: what was approved
// by two people after good evaluations, and is not revoked, satisfies it. readFile
// reads what it names, its keys, and is an fs.ErrNotExist for everything else.
func (f *Fleet) Policy() (yaml []byte, readFile func(path string) ([]byte, error)) {
	var principals strings.Builder
	var teams []string
	for _, n := range f.names {
		kind := "workload"
		if slices.Contains(people[:], n) || n == keySecurity {
			kind = "human"
		}
		if strings.HasPrefix(n, "trainer-") {
			teams = append(teams, n)
		}
		fmt.Fprintf(&principals, "  %s: {kind: %s, credentials: [{key: keys/%s.pub}]}\n", n, kind, n)
	}
	text := strings.NewReplacer("PRINCIPALS\n", principals.String(), "TEAMS", strings.Join(teams, ", "), "PEOPLE", strings.Join(people[:], ", ")).Replace(policyYAML)
	return []byte(text), func(path string) ([]byte, error) {
		name, ok := strings.CutPrefix(path, "keys/")
		k := f.keys[strings.TrimSuffix(name, ".pub")]
		if !ok || k == nil || !strings.HasSuffix(name, ".pub") {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return k.Public().PEM(), nil
	}
}
