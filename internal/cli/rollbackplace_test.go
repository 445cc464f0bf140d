package cli

import (
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A command that records a rollback names the place that is meant, or there is none.
func TestRollbackCommandsNameThePlace(t *testing.T) {
	repo, err := attest.ParseRepository("ocidir://reg")
	if err != nil {
		t.Fatal(err)
	}
	f := lastGoodFlags{environment: "prod"}
	f.policy = "p.yaml"
	for _, c := range []struct {
		place lineage.Place
		want  string // --target; "" if it cannot be written
	}{
		{lineage.Place{Cluster: "eu", Service: "scoring"}, "eu/scoring"},
		{lineage.Place{Cluster: "a", Service: "b/c"}, "a/b/c"},
		{lineage.Place{Cluster: "a/b", Service: "c"}, ""},
		{lineage.Place{Service: "c"}, ""},
		{lineage.Place{Cluster: "a"}, ""},
	} {
		list := f.deploying(repo.At(attest.SHA256([]byte("x"))), predicate.DeployRollback, c.place)
		last := list[len(list)-1]
		if c.want == "" && !strings.HasPrefix(last, "# no --target can name this place") || c.want != "" && !strings.Contains(last, " --target "+c.want+" ") {
			t.Errorf("%+v: %s", c.place, last)
		}
	}
}
