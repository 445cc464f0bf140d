package llm

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

func TestAdaptersReadBack(t *testing.T) {
	n, tokens, a := small(t)
	c := adapterConfig{Type: "LORA", Task: "CAUSAL_LM", BaseModel: "m", Rank: 2, Alpha: 3, Modules: []string{"hidden", "output"}, Training: schedule{1, 1, 1}, Tokens: 1}
	write := func(c adapterConfig) (*adapter, error) {
		contents, err := a.files(c)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "adapter")
		if err := steps.WriteDir(dir, contents); err != nil {
			t.Fatal(err)
		}
		return readAdapter(dir)
	}
	got, err := write(c)
	if err != nil {
		t.Fatal(err)
	}
	one, two := newActivation(2), newActivation(2)
	n.predict(tokens, 9, a, one)
	n.predict(tokens, 9, got, two)
	for j, p := range one.probability {
		if d := p - two.probability[j]; d > 1e-6 || d < -1e-6 {
			t.Errorf("token %d: %v as trained, %v as read", j, p, two.probability[j])
		}
	}
	for _, bad := range []struct {
		want string
		edit func(*adapterConfig)
	}{
		{"a rank of 0", func(c *adapterConfig) { c.Rank = 0 }},
		{"tensor", func(c *adapterConfig) { c.Rank = 3 }},
		{"an alpha of", func(c *adapterConfig) { c.Alpha = -1 }},
		{"another kind of adapter", func(c *adapterConfig) { c.Type = "IA3" }},
		{"another kind of adapter", func(c *adapterConfig) { c.Modules = []string{"output", "hidden"} }},
	} {
		edited := c
		bad.edit(&edited)
		if _, err := write(edited); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("error %v, want %q", err, bad.want)
		}
	}
}
