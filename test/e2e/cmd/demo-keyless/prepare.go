package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/examples/credit"
	"github.com/pedigree-ml/pedigree/test/e2e/stack"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// workloads are the steps of the pipeline, by the principal that they are in the policy.
var workloads = map[string][]string{
	"data":      {"ingest", "prepare"},
	"trainer":   {"train", "quantize"},
	"evaluator": {"evaluate"},
	"registrar": {"register"},
}

// people have an address each.
var people = []string{"alice", "bob", "carol", "dora"}

func workload(step string) stack.Workload {
	return stack.Workload{Pipeline: "acme/credit/pipeline.yaml", Step: step, Ref: "refs/heads/main", Event: "push", RunID: 42}
}

func email(person string) string { return person + "@acme.example" }

// trustFile trusts one instance: what it issued must be in its log, and both of its
// timestamp authorities must say when.
const trustFile = `# Whose certificates, logs and timestamps count. Nothing else does, whatever comes
# with a bundle. The policy names this file by its digest.
apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: %s, version: 1, expires: %s}
sigstore:
  - name: %[1]s
    trustedRoot: trusted_root.json
    timestamps: %[3]d
`

// prepare writes everything that the demonstration starts from.
func (d *demo) prepare(now time.Time) error {
	if err := d.clear(); err != nil {
		return err
	}
	for name, text := range map[string]string{
		marker:                  "made by demo-keyless, which may replace this folder\n",
		"raw/german-credit.csv": string(credit.Data()),
		"raw/ATTRIBUTION.md":    string(credit.Attribution()),
		"code/prepare.sh":       "#!/bin/sh\n# Divides the data into a training and a test set.\nset -eu\nexec pedigree demo credit split --in \"$1\" --train \"$2\" --test \"$3\" --seed 30 --test-share 0.3\n",
		"code/train.sh":         "#!/bin/sh\n# Fits the model. The hyperparameters are under version control with the code.\nset -eu\nexec pedigree demo credit train --data \"$1\" --out \"$2\" --epochs 400 --learning-rate 0.5 --l2 0.02 --seed 1\n",
		"trust.yaml":            fmt.Sprintf(trustFile, "acme", expiry(now), 2),
		"mallory/trust.yaml":    fmt.Sprintf(trustFile, "acme", expiry(now), 1),
	} {
		if err := d.write(name, text); err != nil {
			return err
		}
	}
	if _, err := d.acme.Write(d.dir); err != nil {
		return err
	}
	if _, err := d.mallory.Write(filepath.Join(d.dir, "mallory")); err != nil {
		return err
	}
	if err := d.tokens(); err != nil {
		return err
	}
	if err := d.policy(now); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(d.dir, "bin"), 0o755); err != nil {
		return err
	}
	return os.Symlink(d.program, filepath.Join(d.dir, "bin", "pedigree"))
}

func expiry(now time.Time) string { return now.AddDate(1, 0, 0).UTC().Format(time.RFC3339) }

func (d *demo) write(name, text string) error {
	name = filepath.Join(d.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// tokens writes the token of each step and person. In earnest each is given one when it
// asks for it, and has no other.
func (d *demo) tokens() error {
	all := map[string]map[string]any{}
	for _, steps := range workloads {
		for _, step := range steps {
			all[step] = workload(step).Claims()
		}
	}
	fork := workload("train")
	fork.Pipeline = "mallory/credit/pipeline.yaml"
	all["train-of-a-fork"] = fork.Claims()
	called := workload("train")
	called.Caller = "mallory/credit"
	all["train-called-by-a-fork"] = called.Claims()
	pull := workload("train")
	pull.Event = "pull_request"
	all["train-for-a-pull-request"] = pull.Claims()
	for name, claims := range all {
		if err := d.token(name, d.acme.Workloads, claims); err != nil {
			return err
		}
	}
	for _, p := range people {
		if err := d.token(p, d.acme.People, stack.Person(email(p))); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) token(name string, issuer *stack.Issuer, claims map[string]any) error {
	token, err := issuer.Token(claims)
	if err != nil {
		return err
	}
	shown, err := json.MarshalIndent(claims, "", "  ")
	if err != nil {
		return err
	}
	if err := d.write("tokens/"+name+".json", string(shown)+"\n"); err != nil {
		return err
	}
	return d.write("tokens/"+name+".jwt", token)
}

// policy writes the credit example's policy with identities in place of keys: steps by
// the subject of their workload, and only for a push to the repository itself.
func (d *demo) policy(now time.Time) error {
	text, err := credit.Policy(now.AddDate(1, 0, 0))
	if err != nil {
		return err
	}
	p := string(text)
	exchange := func(old, new string) error {
		if strings.Count(p, old) != 1 {
			return fmt.Errorf("the credit example's policy does not have %q exactly once", old)
		}
		p = strings.Replace(p, old, new, 1)
		return nil
	}
	for name, steps := range workloads {
		var of []string
		for _, s := range steps {
			w := workload(s)
			of = append(of, fmt.Sprintf("\n      {issuer: %q, subject: %q,\n       sourceRepository: %q, sourceRef: %q, trigger: push}", d.acme.Workloads.URL, w.Subject(), w.Repository(), w.Ref))
		}
		if err := exchange("[{key: keys/"+name+".pub}]", "["+strings.Join(of, ",")+"]"); err != nil {
			return err
		}
	}
	for _, name := range people {
		if err := exchange("[{key: keys/"+name+".pub}]", fmt.Sprintf("[{issuer: %q, subject: %s}]", d.acme.People.URL, email(name))); err != nil {
			return err
		}
	}
	pin, err := d.digest("trust.yaml")
	if err != nil {
		return err
	}
	if err := exchange("unsafeTime: claimed                # keys only: nobody authenticates when. Reports repeat it\n",
		"trust: "+pin+"   # pedigree trust show trust.yaml\n"); err != nil {
		return err
	}
	if err := exchange("# Paths of keys are relative to this file. `pedigree demo` and pipeline.sh make\n# the keys beside a copy of it; `pedigree policy check policy.yaml` says what is\n# wrong with a policy.\n",
		"# It names nobody's key, but who they are for the build system, and where they log in.\n"); err != nil {
		return err
	}
	return d.write("policy.yaml", p)
}

// digest returns what the policy calls the trust file.
func (d *demo) digest(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		return "", err
	}
	t, err := trust.Load(text, func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(d.dir, filepath.Dir(name), path)) }, nil)
	if err != nil {
		return "", err
	}
	return t.Digest().String(), nil
}
