package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
	"github.com/pedigree-ml/pedigree/internal/gate/config"
	"github.com/pedigree-ml/pedigree/internal/gate/reload"
	"github.com/pedigree-ml/pedigree/internal/state"
	"github.com/pedigree-ml/pedigree/policy"
)

func (a *app) gateCheckCommand() *cobra.Command {
	var file, namespace, output string
	c := &cobra.Command{
		Use:   "check --config FILE [OBJECT.yaml|-]…",
		Short: "check the gate's configuration, and what it would answer",
		Long: `Loads the configuration and everything that it names, as the gate does when it
starts, and says what there is and what may not be meant. Nothing is remembered.

With files of Kubernetes objects (YAML or JSON, several in one file; - is standard
input) it says what the gate would answer if each were created: of every reference in
it where it stands, which rule and line claim it, the verdict, and if that is not
ALLOW the code, why, and what would help. Exemptions that ask who creates it do not
count. An object without a namespace is taken to be in --namespace.

Exit status: 0 if everything would be let in, 1 if something would be refused, 3 if
something could not be looked at, 2 if configuration, policies, trust or an object's
file are wrong.`,
		Example: `  pedigree gate check --config gate.yaml
  helm template ./chart | pedigree gate check --config gate.yaml --namespace credit -`,
		Args: cobra.ArbitraryArgs,
		RunE: act(func(ctx context.Context, args []string) error {
			return a.gateCheck(ctx, file, namespace, args, output)
		}),
	}
	c.Flags().StringVar(&file, "config", "", "the configuration `FILE`")
	c.Flags().StringVar(&namespace, "namespace", "default", "the namespace of objects that name none")
	c.Flags().StringVar(&output, "output", "text", "text or json")
	required(c, "config")
	return c
}

func (a *app) gateSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print a JSON Schema of the gate's configuration, for editors",
		Long: `Prints a JSON Schema (draft 2020-12) of the configuration that this version reads.
Editors with a YAML language server complete and check it if the file's first line is

  # yaml-language-server: $schema=gate.schema.json

What the schema accepts may still have mistakes: pedigree gate check finds them.`,
		Example: "  pedigree gate schema > gate.schema.json",
		Args:    arguments(),
		RunE: act(func(context.Context, []string) error {
			b, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(b)
			return err
		}),
	}
}

func (a *app) gateCheck(ctx context.Context, file, namespace string, names []string, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	// Read first: a file that is wrong is not worth asking a registry.
	var objects []manifestObject
	for _, name := range names {
		more, err := a.readObjects(name)
		if err != nil {
			return err
		}
		objects = append(objects, more...)
	}
	loaded, err := a.loadGate(ctx, file, nil, nil)
	if err != nil {
		return err
	}
	g := loaded.Grounds
	if len(names) == 0 {
		return a.tellGate(g, output)
	}
	for _, w := range g.Config.Warnings {
		a.note("%s:%s", attest.Printable(file), attest.Printable(w))
	}
	folder, remove, err := copiedState(g.Config.State)
	if err != nil {
		return err
	}
	defer remove()
	parts := a.parts(g.Config, slog.New(slog.DiscardHandler))
	if err := a.openJudge(parts, folder); err != nil {
		return err
	}
	defer parts.close()
	looker := admit.New(admit.Options{Judge: parts.engine, Now: a.Now, Log: parts.log})
	report := gateReport{Config: g.Config.Digest}
	for _, o := range objects {
		report.Objects = append(report.Objects, lookAt(ctx, looker, g, o, namespace))
	}
	report.sum()
	if output == "json" {
		err = report.json(a.Stdout)
	} else {
		err = report.text(a.Stdout)
	}
	if err != nil {
		return err
	}
	return answer(report.outcome)
}

// copiedState copies what is remembered in a folder to one of its own, for a question that
// is to know what the gate knows and to leave nothing behind.
func copiedState(from string) (folder string, remove func(), err error) {
	if from == "" {
		return "", func() {}, nil
	}
	d, err := state.Open(from)
	if err != nil {
		return "", nil, err
	}
	marks, err := d.Marks()
	if err != nil {
		return "", nil, err
	}
	if folder, err = os.MkdirTemp("", "pedigree-gate-check-"); err != nil {
		return "", nil, fileRefusal("temporary folder", err)
	}
	remove = func() { _ = os.RemoveAll(folder) }
	own, err := state.Open(folder)
	if err == nil {
		err = own.Remember(marks)
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return folder, remove, nil
}

// lookAt says what would become of one object.
func lookAt(ctx context.Context, looker *admit.Admitter, g *gate.Grounds, o manifestObject, namespace string) objectReport {
	if o.namespace != "" {
		namespace = o.namespace
	}
	r := objectReport{File: o.file, Kind: o.gvk.GroupKind().String(), Namespace: namespace, Name: o.name, outcome: policy.Allow}
	// As the API server bounds each review.
	ctx, cancel := context.WithTimeout(ctx, g.Config.Limits.Deadline)
	defer cancel()
	for _, s := range looker.Look(ctx, g, o.content, o.gvk, namespace) {
		r.add(s)
	}
	r.Outcome = r.outcome.String()
	return r
}

// tellGate says what a configuration that loads comes to.
func (a *app) tellGate(g *gate.Grounds, output string) error {
	if output == "json" {
		return gateSummaryJSON(a.Stdout, g)
	}
	c := g.Config
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", c.Name, c.Digest)
	fmt.Fprintf(&b, "listens   %s%s\n", c.Listen.Address, map[bool]string{true: ", metrics " + c.Listen.Metrics}[c.Listen.Metrics != ""])
	fmt.Fprintf(&b, "may ask   %s\n", strings.Join(c.Registry.Repositories, ", "))
	for _, name := range slices.Sorted(maps.Keys(g.Policies)) {
		p := g.Policies[name]
		fmt.Fprintf(&b, "policy    %s: %s version %d, %s, until %s\n", name, attest.Printable(p.Policy.Name()), p.Policy.Version(), p.Policy.Digest(), p.Policy.Expires().UTC().Format(time.RFC3339))
		for _, n := range p.Notes {
			fmt.Fprintf(&b, "          %s\n", attest.Printable(n))
		}
	}
	for _, r := range c.Rules {
		fmt.Fprintf(&b, "rule      %s: %s in %s, %s\n", r.Name, r.Mode, strings.Join(r.Namespaces, ", "), plural(len(r.Artifacts), "line"))
	}
	if len(c.Rules) == 0 {
		b.WriteString("rules     none: admission refuses everything\n")
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning   %s\n", attest.Printable(w))
	}
	if _, err := io.WriteString(a.Stdout, b.String()); err != nil {
		return err
	}
	over := reload.Over(g, a.Now())
	for _, name := range slices.Sorted(maps.Keys(over)) {
		return over[name]
	}
	return nil
}

// A manifestObject is one object of a file.
type manifestObject struct {
	file            string
	gvk             schema.GroupVersionKind
	namespace, name string
	content         map[string]any
}

// maxObjects bounds the objects of one file, and maxManifest its bytes: charts of large
// systems have some hundred objects in a few megabytes.
const (
	maxObjects  = 4096
	maxManifest = 32 << 20
)

// readObjects reads the objects in a file, those in lists among them.
func (a *app) readObjects(name string) ([]manifestObject, error) {
	src, err := a.readManifest(name)
	if err != nil {
		return nil, err
	}
	var out []manifestObject
	add := func(content map[string]any) error {
		o, err := objectOf(name, content)
		if err != nil {
			return err
		}
		if out = append(out, o); len(out) > maxObjects {
			return &attest.Refusal{Code: attest.CodeLimit, About: name, Why: fmt.Sprintf("more than %d objects", maxObjects)}
		}
		return nil
	}
	for i, doc := range documents(src) {
		content, err := yamlObject(doc)
		if err != nil {
			return nil, &attest.Refusal{Code: attest.CodeUsage, About: fmt.Sprintf("%s document %d", name, i+1), Why: "no Kubernetes object in YAML", Err: err}
		}
		if content == nil {
			continue // only comments
		}
		items, list := content["items"].([]any)
		if kind, _ := content["kind"].(string); !list || !strings.HasSuffix(kind, "List") {
			items = []any{content}
		}
		for _, item := range items {
			m, ok := item.(map[string]any)
			if !ok {
				return nil, &attest.Refusal{Code: attest.CodeUsage, About: name, Why: "a list of something else than objects"}
			}
			if err := add(m); err != nil {
				return nil, err
			}
		}
	}
	if len(out) == 0 {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: name, Why: "there is no object in it"}
	}
	return out, nil
}

func (a *app) readManifest(name string) ([]byte, error) {
	if name != "-" {
		b, err := readFile(name, maxManifest)
		if err != nil {
			return nil, &statusError{exitUsage, err}
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(a.Stdin, maxManifest+1))
	if err != nil {
		return nil, fileRefusal("standard input", err)
	}
	if len(b) > maxManifest {
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: "standard input", Why: fmt.Sprintf("longer than %d bytes", maxManifest)}
	}
	return b, nil
}

// objectOf reads what an object says it is.
func objectOf(file string, content map[string]any) (manifestObject, error) {
	version, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	gv, err := schema.ParseGroupVersion(version)
	if err == nil && (gv.Version == "" || kind == "") {
		err = errors.New("it has no apiVersion, or no kind")
	}
	if err != nil {
		return manifestObject{}, &attest.Refusal{Code: attest.CodeUsage, About: file, Why: "no Kubernetes object", Err: err}
	}
	o := manifestObject{file: file, gvk: gv.WithKind(kind), content: content}
	meta, _ := content["metadata"].(map[string]any)
	o.namespace, _ = meta["namespace"].(string)
	if o.name, _ = meta["name"].(string); o.name == "" {
		o.name, _ = meta["generateName"].(string)
	}
	return o, nil
}

// documents divides YAML at its document markers. A marker stands at the beginning of a
// line, where no block of text of an object can have it.
func documents(src []byte) [][]byte {
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	var out [][]byte
	var doc []byte
	for line := range bytes.Lines(src) {
		if bytes.HasPrefix(line, []byte("---")) && (len(bytes.TrimRight(line, " \n")) == 3 || line[3] == ' ' || line[3] == '\t') {
			out = append(out, doc)
			doc = slices.Clone(bytes.TrimPrefix(line, []byte("---")))
			continue
		}
		doc = append(doc, line...)
	}
	return append(out, doc)
}
