package lineage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A drawing is a graph in the making, its artifacts called by words.
type drawing struct {
	g     *lineage.Graph
	nodes map[string]*lineage.Node
}

// An edge is an input: its role, its word, and what signers call it.
type edge struct{ role, to, label string }

func digest(word string) attest.Digest { return attest.SHA256([]byte(word)) }

func draw() *drawing {
	d := &drawing{g: &lineage.Graph{Artifact: digest("root")}, nodes: map[string]*lineage.Node{}}
	d.node("root")
	return d
}

func (d *drawing) node(word string) *lineage.Node {
	n := d.nodes[word]
	if n == nil {
		n = &lineage.Node{Digest: digest(word), Frontier: &lineage.Frontier{How: lineage.EndsUnsigned}}
		d.nodes[word] = n
	}
	return n
}

// step says that a trusted record made an artifact of these.
func (d *drawing) step(product, step string, inputs ...edge) *drawing {
	n := d.node(product)
	n.Steps = append(n.Steps, step)
	n.Frontier = nil
	if len(inputs) == 0 {
		n.Frontier = &lineage.Frontier{How: lineage.EndsSigned}
	}
	n.Records = append(n.Records, d.record("provenance", product, step))
	for _, in := range inputs {
		d.connect(product, step, in)
	}
	return d
}

func (d *drawing) record(kind, about, step string) int {
	d.g.Records = append(d.g.Records, lineage.Record{Type: kind, Step: step, About: digest(about), Payload: digest("record of " + about + " " + step)})
	return len(d.g.Records) - 1
}

func (d *drawing) connect(product, step string, in edge) {
	to := d.node(in.to)
	if in.label != "" {
		to.Name, _, _ = strings.Cut(in.label, " ")
		for label := range strings.SplitSeq(in.label, " ") {
			if !slices.Contains(to.Labels, label) {
				to.Labels = append(to.Labels, label)
			}
		}
	}
	d.g.Edges = append(d.g.Edges, lineage.Edge{From: digest(product), To: to.Digest, Role: in.role, Step: step, Records: []int{len(d.g.Records) - 1}})
}

// judged says that an artifact was evaluated with something.
func (d *drawing) judged(about string, in edge) *drawing {
	d.record("evaluation", about, "evaluate quality")
	d.connect(about, "evaluate quality", in)
	return d
}

// gap says that something could not be looked at.
func (d *drawing) gap(word string) *drawing {
	if word == "" {
		d.g.Gaps = append(d.g.Gaps, lineage.Gap{Code: attest.CodeRegUnavailable})
		return d
	}
	n := d.node(word)
	n.Gaps = append(n.Gaps, attest.CodeRegUnavailable)
	d.g.Gaps = append(d.g.Gaps, lineage.Gap{Artifact: n.Digest, Code: attest.CodeRegUnavailable})
	return d
}

func (d *drawing) graph() *lineage.Graph {
	d.g.Nodes = nil
	for _, n := range d.nodes {
		d.g.Nodes = append(d.g.Nodes, *n)
	}
	slices.SortFunc(d.g.Nodes, func(a, b lineage.Node) int { return a.Digest.Compare(b.Digest) })
	slices.SortFunc(d.g.Edges, lineage.Edge.Compare)
	return d.g
}

// descended is a graph of one step.
func descended(step string, inputs ...edge) *drawing { return draw().step("root", step, inputs...) }

func card(t *testing.T, front string) lineage.Card {
	t.Helper()
	c, err := lineage.ReadCard(packed(map[string]string{"README.md": "---\n" + front + "\n---\n"}))
	must(t, err)
	return c
}

var (
	tern    = edge{"base-model", "tern", "openweights/tern-7b https://huggingface.co/openweights/tern-7b"}
	heron   = edge{"base-model", "heron", "northwind/heron-7b"}
	version = edge{"parent-model", "v1", "acme/support"}
	adapter = edge{"adapter", "lora", "acme/support-lora"}
	teacher = edge{"teacher", "big", "openweights/tern-70b"}
	train   = edge{"training-data", "train", "acme/chats oci://registry.example/data/chats"}
	code    = edge{"code", "commit", "git+https://git.example/acme/train@refs/heads/main"}
)

// found writes contradictions in short: the field, what is claimed, what is signed,
// and a question mark where nothing can be told.
func found(list []lineage.Contradiction) string {
	var out []string
	for _, c := range list {
		signed := c.Signed
		for {
			i := strings.Index(signed, " (sha256:")
			if i < 0 {
				break
			}
			signed = signed[:i] + signed[i+strings.Index(signed[i:], ")")+1:]
		}
		s := c.Field + ": " + c.Claimed + " / " + signed
		if c.Open {
			s += "?"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestBaseModels(t *testing.T) {
	t.Parallel()
	tuned := func() *drawing { return descended("finetune", tern, train, code) }
	for name, tc := range map[string]struct {
		card  string
		graph *drawing
		want  string
	}{
		"the same":              {"base_model: openweights/tern-7b", tuned(), ""},
		"in other letters":      {"base_model: OpenWeights/Tern-7B", tuned(), ""},
		"as an address":         {"base_model: https://huggingface.co/openweights/tern-7b/tree/main", tuned(), ""},
		"with a revision":       {"base_model: openweights/tern-7b@0a1b2c3", tuned(), ""},
		"as a package URL":      {"base_model: pkg:huggingface/openweights/tern-7b@0a1b", tuned(), ""},
		"in the hub's own way":  {"base_model: 'hf:openweights/tern-7b'", tuned(), ""},
		"by its name alone":     {"base_model: tern-7b", tuned(), ""},
		"another":               {"base_model: northwind/heron-7b", tuned(), "base_model: northwind/heron-7b / openweights/tern-7b"},
		"of somebody else":      {"base_model: mallory/tern-7b", tuned(), "base_model: mallory/tern-7b / openweights/tern-7b"},
		"longer":                {"base_model: openweights/tern-7b-instruct", tuned(), "base_model: openweights/tern-7b-instruct / openweights/tern-7b"},
		"half a word":           {"base_model: weights/tern-7b", tuned(), "base_model: weights/tern-7b / openweights/tern-7b"},
		"none, says the card":   {"base_model: []", tuned(), "base_model: no base model / openweights/tern-7b"},
		"the card is silent":    {"license: mit", tuned(), ""},
		"left open":             {"base_model:", tuned(), ""},
		"both, and one is not":  {"base_model: [openweights/tern-7b, northwind/heron-7b]", tuned(), "base_model: northwind/heron-7b / openweights/tern-7b"},
		"signed: none":          {"base_model: openweights/tern-7b", descended("train", train, code), "base_model: openweights/tern-7b / no base model"},
		"signed, with nothing":  {"base_model: openweights/tern-7b", descended("train"), "base_model: openweights/tern-7b / no base model"},
		"none at all":           {"base_model: []", descended("train", train), ""},
		"one is left out":       {"base_model: openweights/tern-7b", descended("merge", tern, heron), "base_model: openweights/tern-7b / northwind/heron-7b"},
		"all of a merge":        {"base_model: [openweights/tern-7b, northwind/heron-7b]", descended("merge", tern, heron), ""},
		"in two roles":          {"base_model: openweights/tern-7b", descended("merge", tern, heron, edge{"parent-model", "heron", ""}), "base_model: openweights/tern-7b / northwind/heron-7b"},
		"further back":          {"base_model: openweights/tern-7b", descended("finetune", version, train).step("v1", "finetune", tern), ""},
		"the nearest":           {"base_model: acme/support", descended("finetune", version, train).step("v1", "finetune", tern), ""},
		"neither":               {"base_model: northwind/heron-7b", descended("finetune", version).step("v1", "finetune", tern), "base_model: northwind/heron-7b / acme/support"},
		"an adapter on it":      {"base_model: openweights/tern-7b", descended("merge", tern, adapter).step("lora", "finetune", tern, train), ""},
		"an adapter on another": {"base_model: openweights/tern-7b", descended("merge", tern, adapter).step("lora", "finetune", heron), "base_model: openweights/tern-7b / acme/support-lora"},
		"a teacher may be named": {
			"base_model: openweights/tern-70b", descended("train", teacher, train), ""},
		"a teacher need not be": {"base_model: openweights/tern-7b", descended("finetune", tern, teacher), ""},
		"judged with, not made": {"base_model: northwind/heron-7b", tuned().judged("root", heron), "base_model: northwind/heron-7b / openweights/tern-7b"},
		"through data":          {"base_model: openweights/tern-70b", descended("train", train).step("train", "generate", teacher), ""},
		"a cycle":               {"base_model: a/b", descended("finetune", version).step("v1", "finetune", edge{"parent-model", "root", ""}), "base_model: a/b / acme/support"},

		// Where the evidence ends too early.
		"nothing signed":      {"base_model: openweights/tern-7b", draw(), "base_model: openweights/tern-7b / no base model?"},
		"an unsigned parent":  {"base_model: openweights/tern-7b", descended("finetune", version), "base_model: openweights/tern-7b / acme/support?"},
		"an unseen parent":    {"base_model: openweights/tern-7b", descended("finetune", version).step("v1", "train", train).gap("v1"), "base_model: openweights/tern-7b / acme/support?"},
		"a circle of bases":   {"base_model: a/b", descended("finetune", tern).step("tern", "finetune", edge{"base-model", "root", "acme/mine"}).gap("root"), "base_model: a/b / openweights/tern-7b?"},
		"a gap elsewhere":     {"base_model: openweights/tern-7b", descended("train", train).gap(""), "base_model: openweights/tern-7b / no base model?"},
		"a gap at the data":   {"base_model: openweights/tern-7b", descended("train", train).gap("train"), "base_model: openweights/tern-7b / no base model"},
		"a base without name": {"base_model: openweights/tern-7b", descended("finetune", edge{"base-model", "x", ""}), "base_model: openweights/tern-7b / " + digest("x").Short() + "?"},
		"left out, unsigned":  {"base_model: openweights/tern-7b", descended("merge", tern, version), "base_model: openweights/tern-7b / acme/support?"},
		"left out, and known": {"base_model: openweights/tern-7b", descended("merge", tern, version).step("v1", "train", train), "base_model: openweights/tern-7b / acme/support"},
		"unseen, yet matched": {"base_model: openweights/tern-7b", tuned().gap(""), ""},
	} {
		got := found(lineage.Contradictions(card(t, tc.card), tc.graph.graph()))
		if got != tc.want {
			t.Errorf("%s: got  %q\nwant %q", name, got, tc.want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		claimed, label string
		same           bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "registry.example:5000/mirror/a/b:v1", true},
		{"a/b", "oci://registry.example/mirror/a/b@sha256:00", true},
		{"a/b", "hf://models/a/b@main", true},
		{"a/b", "https://huggingface.co/a/b/resolve/main/model.safetensors", true},
		{"a/b", "git+https://huggingface.co/a/b.git@main", true},
		{"a/b", "https://huggingface.co/a/b?x=c/d#e/f", true},
		{"a/b", "b", true},
		{"a/b", "b https://hub.example/mallory/b", false},
		{"a/b", "b https://hub.example/a/b", true},
		{"a/b", "b oci://registry.example/mirror/bases", true},
		{"a/b", "https://huggingface.co/mallory/x/tree/a/b", false},
		{"a/b", "xa/b", false},
		{"a/b", "a/bx", false},
		{"a/b", "a", false},
		{"a/b", "a%2fb", false},
		{"https://huggingface.co/datasets/a/b", "a/b", true},
		{"https://models.example/x/a/b", "a/b", true},
	} {
		c := lineage.Card{BaseModels: baseClaims(tc.claimed)}
		got := lineage.Contradictions(c, descended("finetune", edge{"base-model", "x", tc.label}).graph())
		if (len(got) == 0) != tc.same {
			t.Errorf("%s and %q: %s", tc.claimed, tc.label, found(got))
		}
	}
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"the base":          {map[string]string{"config.json": `{"_name_or_path":"openweights/tern-7b"}`}, ""},
		"another":           {map[string]string{"config.json": `{"_name_or_path":"mallory/x"}`}, "_name_or_path: mallory/x / openweights/tern-7b"},
		"its own":           {map[string]string{"config.json": `{"_name_or_path":"acme/mine"}`, "README.md": "---\nmodel_name: acme/mine\n---\n"}, ""},
		"an adapter's base": {map[string]string{"adapter_config.json": `{"base_model_name_or_path":"mallory/x"}`}, "base_model_name_or_path: mallory/x / openweights/tern-7b"},
		"a good card, a bad configuration": {map[string]string{"README.md": "---\nbase_model: openweights/tern-7b\n---\n", "config.json": `{"_name_or_path":"mallory/x"}`},
			"_name_or_path: mallory/x / openweights/tern-7b"},
	} {
		c, err := lineage.ReadCard(packed(tc.files))
		must(t, err)
		list := lineage.Contradictions(c, descended("finetune", tern, train).graph())
		if got := found(list); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
		for _, x := range list {
			if !slices.Equal(x.Records, []attest.Digest{digest("record of root finetune")}) || x.Source == "README.md" {
				t.Errorf("%s: said by %s against %v", name, x.Source, x.Records)
			}
		}
	}
}

func TestRelations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		relation string
		graph    *drawing
		want     string
	}{
		"finetune":                    {"finetune", descended("finetune", tern), ""},
		"adapter":                     {"adapter", descended("finetune", tern), ""},
		"trained from weights":        {"finetune", descended("train", tern, train), ""},
		"trained from data":           {"finetune", descended("train", train), "base_model_relation: finetune / train"},
		"distilled":                   {"finetune", descended("train", teacher, train), "base_model_relation: finetune / train"},
		"quantized":                   {"quantized", descended("quantize", version), ""},
		"in other letters":            {"Quantized", descended("quantize", version), ""},
		"quantized, with an old card": {"finetune", descended("quantize", version).step("v1", "finetune", tern), "base_model_relation: finetune / quantize"},
		"not quantized":               {"quantized", descended("finetune", version), "base_model_relation: quantized / finetune"},
		"merge":                       {"merge", descended("merge", tern, heron), ""},
		"merged, and says fine-tuned": {"finetune", descended("merge", tern, heron), "base_model_relation: finetune / merge"},
		"an adapter merged in":        {"finetune", descended("merge", tern, adapter), ""},
		"not an adapter any more":     {"adapter", descended("merge", tern, adapter), "base_model_relation: adapter / merge"},
		"no merge":                    {"merge", descended("finetune", tern), "base_model_relation: merge / finetune"},
		"converted":                   {"quantized", descended("convert", version).step("v1", "package", heron).step("heron", "quantize", tern), ""},
		"converted, not quantized":    {"quantized", descended("convert", version).step("v1", "finetune", tern), "base_model_relation: quantized / finetune"},
		"converted in a circle":       {"quantized", descended("convert", version).step("v1", "convert", edge{"parent-model", "root", ""}), "base_model_relation: quantized / no step?"},
		"a step of others":            {"quantized", descended("https://ci.example/v1", tern), "base_model_relation: quantized / https://ci.example/v1?"},
		"nothing signed":              {"quantized", draw(), "base_model_relation: quantized / no step?"},
		"a word of nobody's":          {"inspired", descended("quantize", version), ""},
		"two records, one fits":       {"quantized", descended("finetune", tern).step("root", "quantize", version), ""},
	} {
		if got := found(lineage.Contradictions(card(t, "base_model_relation: "+tc.relation), tc.graph.graph())); got != tc.want {
			t.Errorf("%s: got  %q\nwant %q", name, got, tc.want)
		}
	}
}

func TestDatasets(t *testing.T) {
	t.Parallel()
	raw := edge{"raw-data", "raw", "openorg/web-text https://data.example/web"}
	prepared := func() *drawing { return descended("finetune", tern, train).step("train", "prepare", raw) }
	for name, tc := range map[string]struct {
		card  string
		graph *drawing
		want  string
	}{
		"the training set":   {"datasets: acme/chats", prepared(), ""},
		"what it is made of": {"datasets: [acme/chats, openorg/web-text]", prepared(), ""},
		"another":            {"datasets: [acme/chats, openorg/books]", prepared(), "datasets: openorg/books / acme/chats"},
		"none":               {"datasets: openorg/books", descended("merge", tern, heron), "datasets: openorg/books / no training data"},
		"not listed":         {"datasets: []", prepared(), ""},
		"of a parent":        {"datasets: acme/chats", descended("quantize", version).step("v1", "finetune", tern, train), ""},
		"only judged with":   {"datasets: openorg/books", prepared().judged("root", edge{"evaluation-data", "books", "openorg/books"}), "datasets: openorg/books / acme/chats"},
		"unsigned data":      {"datasets: openorg/books", descended("finetune", tern, train), "datasets: openorg/books / acme/chats?"},
		"unsigned parent":    {"datasets: openorg/books", descended("finetune", version), "datasets: openorg/books / no training data?"},
		"nothing signed":     {"datasets: openorg/books", draw(), "datasets: openorg/books / no training data?"},
	} {
		if got := found(lineage.Contradictions(card(t, tc.card), tc.graph.graph())); got != tc.want {
			t.Errorf("%s: got  %q\nwant %q", name, got, tc.want)
		}
	}
}

func TestNothingToCompare(t *testing.T) {
	t.Parallel()
	if got := lineage.Contradictions(lineage.Card{Name: "a/b"}, draw().graph()); got != nil {
		t.Errorf("an empty card contradicts: %+v", got)
	}
	if got := lineage.Contradictions(card(t, finetuneCard[4:strings.Index(finetuneCard, "\n---\n\n#")]), nil); got != nil {
		t.Errorf("no graph contradicts: %+v", got)
	}
}

// A graph as wide and as deep as a walk allows is compared in a moment.
func TestComparisonOfLargeGraphs(t *testing.T) {
	t.Parallel()
	d := draw()
	last := "root"
	for i := range 2_000 {
		next := "m" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + attest.SHA256([]byte{byte(i), byte(i >> 8)}).Hex()
		inputs := []edge{{"parent-model", next, "acme/" + next}}
		for j := range 20 {
			inputs = append(inputs, edge{"parent-model", next + string(rune('a'+j)), "acme/side"})
		}
		d.step(last, "merge", inputs...)
		last = next
	}
	claims := make([]string, 100)
	for i := range claims {
		claims[i] = "somebody/model-" + string(rune('a'+i%26)) + strings.Repeat("y", i)
	}
	got := lineage.Contradictions(lineage.Card{BaseModels: baseClaims(claims...), SaysBase: true}, d.graph())
	if len(got) != 100 || !got[0].Open {
		t.Errorf("%d contradictions, want one for each claim, all open", len(got))
	}
}
