package modelpack_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/modelpack"
)

func TestKindOf(t *testing.T) {
	for p, want := range map[string]modelpack.Kind{
		"model.safetensors": modelpack.Weight, "a/b/model-00001-of-00002.safetensors": modelpack.Weight, "q4.gguf": modelpack.Weight,
		"pytorch_model.bin": modelpack.Weight, "x.pt": modelpack.Weight, "x.onnx": modelpack.Weight, "model.joblib": modelpack.Weight,
		"unknown.zzz": modelpack.Weight, "noextension": modelpack.Weight, "license.safetensors": modelpack.Weight, "readme.bin": modelpack.Weight,
		"config.json": modelpack.WeightConfig, "CONFIG.JSON": modelpack.WeightConfig, "tokenizer.model.json": modelpack.WeightConfig, "vocab.txt": modelpack.WeightConfig, "chat_template.jinja": modelpack.WeightConfig, ".gitattributes": modelpack.WeightConfig,
		"README.md": modelpack.Doc, "LICENSE": modelpack.Doc, "LICENSE.txt": modelpack.Doc, "docs/a.pdf": modelpack.Doc,
		"train.py": modelpack.Code, "requirements.txt": modelpack.Code, "Makefile": modelpack.Code,
		"eval.csv": modelpack.Dataset, "d.parquet": modelpack.Dataset, "d.jsonl": modelpack.Dataset,
	} {
		if got := modelpack.KindOf(p); got != want {
			t.Errorf("%s is %s, want %s", p, got, want)
		}
	}
}

func TestKindIn(t *testing.T) {
	for _, tt := range []struct {
		whole modelpack.Kind
		p     string
		want  modelpack.Kind
	}{
		{modelpack.Weight, "x.json", modelpack.WeightConfig},
		{modelpack.Dataset, "x.json", modelpack.Dataset}, {modelpack.Dataset, "x.png", modelpack.Dataset}, {modelpack.Dataset, "x.zzz", modelpack.Dataset},
		{modelpack.Dataset, "README.md", modelpack.Doc}, {modelpack.Dataset, "LICENSE", modelpack.Doc}, {modelpack.Dataset, "notes.md", modelpack.Dataset},
		{modelpack.Code, "x.csv", modelpack.Code}, {modelpack.Code, "sub/LICENSE.txt", modelpack.Doc}, {modelpack.Doc, "x.bin", modelpack.Doc},
	} {
		if got := modelpack.KindIn(tt.whole, tt.p); got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.p, tt.whole, got, tt.want)
		}
	}
}

// The table is a format: a change to it changes the digests of artifacts packed from
// then on. Whoever means to do that raises Version and changes this sum with it.
func TestTableIsVersioned(t *testing.T) {
	b, err := os.ReadFile("modelpack.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "func KindOf(")
	table, _, ok2 := strings.Cut(table, "// KindIn")
	sum := sha256.Sum256([]byte(table))
	const want = "2d675c2b4e875099"
	if got := hex.EncodeToString(sum[:8]); !ok || !ok2 || got != want || modelpack.Version != 1 {
		t.Errorf("the table of version %d has sum %s, want %s of version 1", modelpack.Version, got, want)
	}
}
