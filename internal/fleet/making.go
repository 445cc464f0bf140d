package fleet

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// builderID is who ran the steps of a team, as provenance names it.
func builderID(who string) string { return "https://ci.fleet.example/runners/" + who }

// A making is one run: what it took, and what it made.
type making struct {
	step     string
	by       string // the key
	run      string // the invocation id
	outputs  []predicate.Output
	names    []string // of the subjects, as the signer calls them
	inputs   []predicate.Input
	params   map[string]any
	finished time.Time
	took     time.Duration
}

// provenance writes the predicate, which is the same for all outputs of the run.
func (m *making) provenance(f *Fleet) (json.RawMessage, error) {
	return predicate.NewProvenance(predicate.ProvenanceInput{
		Step:     m.step,
		External: map[string]any{"command": []any{"python", "-m", "pipeline." + m.step, "--config", "config/" + m.step + ".yaml"}, "parameters": m.params},
		Internal: map[string]any{
			"platform": "linux/amd64", "exitStatus": 0, "pedigreeVersion": "v0.9.0",
			"environment": map[string]any{
				"CI": "true", "CUDA_VERSION": "12.8.1", "NCCL_VERSION": "2.26.2", "PYTHON_VERSION": "3.12.9", "TZ": "UTC", "LANG": "C.UTF-8",
				"RUN_URL": "https://ci.fleet.example/runs/" + m.run, "IMAGE": "registry.fleet.example/images/" + m.step + "@sha256:" + f.opaque("image "+m.step).Hex(),
			},
			"log": map[string]any{"sha256": f.opaque("log " + m.run).Hex(), "size": 20_000 + len(m.run)*977},
		},
		Inputs: m.inputs, Outputs: m.outputs,
		Builder: builderID(m.by), BuilderVersion: map[string]string{"runner": "2.317.0", "image": "ubuntu-24.04"},
		InvocationID: m.run, Started: m.finished.Add(-m.took), Finished: m.finished,
	})
}

func location(r attest.Repository) string { return "oci://" + r.Name() }

// commitOf returns a code repository's commit as of a slot. Somebody commits every
// third version or so, so that many were made by the same code.
func (f *Fleet) commitOf(repo string, slot int) predicate.Input {
	n := max(0, slot) / (3 * max(1, f.config.Teams))
	b := f.bytesFor(fmt.Sprintf("commit %s %d", repo, n))
	d, err := attest.NewDigest("gitCommit", hex.EncodeToString(b[:20]))
	if err != nil {
		panic(err) // unreachable: 40 digits
	}
	return predicate.Input{Role: "code", Name: repo, URI: gitHost + "/" + repo + "@refs/heads/main", Digest: d, Observed: true}
}

// lockOf returns the lock file that a team's environment had as of a slot.
func (f *Fleet) lockOf(team, slot int) predicate.Input {
	n := slot / (20 * f.config.Teams)
	return predicate.Input{Role: "environment", Name: "uv.lock", URI: fmt.Sprintf("file:team-%02d/uv.lock", team),
		Digest: f.opaque(fmt.Sprintf("lock %d %d", team, n)), Observed: true}
}

func (f *Fleet) makingOfBase(i int) making {
	b := &f.bases[i]
	return making{
		step: "release", by: keyPublisher, run: "release-" + strconv.Itoa(i), names: []string{b.name},
		outputs: []predicate.Output{{Name: "model", Digest: b.digest}},
		params:  map[string]any{"version": "1.0", "license": "apache-2.0"}, finished: epoch.Add(time.Duration(i) * time.Minute), took: time.Hour,
	}
}

func (f *Fleet) makingOfRaw(i int) making {
	s := &f.raws[i]
	return making{
		step: "ingest", by: keyData, run: "ingest-" + strconv.Itoa(i), names: []string{s.name},
		outputs:  []predicate.Output{{Name: "data", Digest: s.digest}},
		inputs:   []predicate.Input{{Role: "raw-data", Name: s.name, URI: "https://data.example/export/" + s.name, Digest: f.opaque("source " + s.name)}},
		params:   map[string]any{"format": "parquet", "consent": "2024-11"},
		finished: epoch.Add(time.Hour + time.Duration(i)*time.Minute), took: 20 * time.Minute,
	}
}

// dataAt returns when a prepared data set was made: before the versions trained on it.
func (f *Fleet) dataAt(i int) time.Time {
	if s := f.data[i].slot; s >= 0 {
		return f.at(s, -20)
	}
	return epoch.Add(20 * time.Hour)
}

func (f *Fleet) makingOfData(i int) making {
	p := &f.data[i]
	m := making{
		step: "prepare", by: keyData, run: "prepare-" + strconv.Itoa(i), names: []string{"train", "test"},
		outputs: []predicate.Output{{Name: "train", Digest: p.train}, {Name: "test", Digest: p.test}},
		params:  map[string]any{"split": "0.8", "seed": strconv.Itoa(i), "dedupe": "minhash", "minTokens": "32", "languages": "de,en,fr"},
		took:    15 * time.Minute, finished: f.dataAt(i),
	}
	for _, r := range p.raws {
		m.inputs = append(m.inputs, predicate.Input{Role: "raw-data", Name: f.raws[r].name, URI: location(dataRepository()), Digest: f.raws[r].digest, Observed: true})
	}
	m.inputs = append(m.inputs, f.commitOf("prepare", p.slot))
	return m
}

// The minutes of a version's slot at which things happen.
const (
	minuteAdapter  = 0
	minuteModel    = 10
	minuteVariant  = 20
	minuteEvaluate = 40
	minuteApprove  = 60
	minuteSummary  = 70
	minuteStaging  = 80
	minuteProd     = 100
)

// makingsOf returns the runs that made a version, its model and its variants.
func (f *Fleet) makingsOf(v *version) []making {
	team := f.team(v)
	tag, family := f.tag(v), "acme/"+f.familyName(v)
	here := location(f.repository(v))
	data := predicate.Input{Role: "training-data", Name: "train", URI: location(dataRepository()), Digest: f.data[v.data].train, Observed: true}
	environment := []predicate.Input{f.commitOf(fmt.Sprintf("team-%02d", team), v.slot), f.lockOf(team, v.slot)}
	parent := func(i int) predicate.Input {
		w := &f.versions[i]
		return predicate.Input{Role: "parent-model", Name: "acme/" + f.familyName(w), URI: location(f.repository(w)), Digest: w.model, Observed: true}
	}
	run := func(step, output, name string, d attest.Digest, minute int, params map[string]any, inputs ...predicate.Input) making {
		return making{
			step: step, by: teamKey(team), run: step + "-" + tag + "-" + output, names: []string{name},
			outputs: []predicate.Output{{Name: output, Digest: d}}, inputs: append(inputs, environment...),
			params: params, finished: f.at(v.slot, minute), took: 5 * time.Minute,
		}
	}
	var out []making
	baseInput := predicate.Input{}
	if v.base >= 0 {
		b := &f.bases[v.base]
		baseInput = predicate.Input{Role: "base-model", Name: b.name, URI: location(baseRepository()), Digest: b.digest, Observed: true}
	}
	switch {
	case v.style == styleScratch:
		out = append(out, run("train", "model", family, v.model, minuteModel, f.hyperparameters(v), data))
	case v.style == styleAdapter:
		adapter := predicate.Input{Role: "adapter", Name: family + "-adapter", URI: here, Digest: v.adapter, Observed: true}
		out = append(out, run("finetune", "adapter", family+"-adapter", v.adapter, minuteAdapter, f.hyperparameters(v), baseInput, data),
			run("merge", "model", family, v.model, minuteModel, map[string]any{"method": "lora", "weight": "1.0", "version": tag}, baseInput, adapter))
	case v.other >= 0:
		out = append(out, run("merge", "model", family, v.model, minuteModel, map[string]any{"method": "slerp", "t": "0.5", "version": tag}, parent(v.parent), parent(v.other)))
	case v.parent >= 0:
		out = append(out, run("finetune", "model", family, v.model, minuteModel, f.hyperparameters(v), parent(v.parent), data))
	default:
		out = append(out, run("finetune", "model", family, v.model, minuteModel, f.hyperparameters(v), baseInput, data))
	}
	for i, bits := range v.bits {
		calibration := data
		calibration.Role = "calibration-data"
		model := predicate.Input{Role: "parent-model", Name: family, URI: here, Digest: v.model, Observed: true}
		out = append(out, run("quantize", "model-q"+strconv.Itoa(bits), fmt.Sprintf("%s-q%d", family, bits), v.variants[i], minuteVariant+i,
			map[string]any{"bits": strconv.Itoa(bits), "method": "gptq", "groupSize": "128", "version": tag}, model, calibration))
	}
	return out
}

// hyperparameters returns about as many as trainings have.
func (f *Fleet) hyperparameters(v *version) map[string]any {
	r := f.chance("hyperparameters", v.slot)
	return map[string]any{
		"version": strconv.Itoa(v.number) + ".0", "learningRate": fmt.Sprintf("%de-%d", 1+r.IntN(9), 4+r.IntN(2)), "epochs": strconv.Itoa(1 + r.IntN(4)),
		"batchSize": strconv.Itoa(8 << r.IntN(5)), "warmupSteps": strconv.Itoa(100 * r.IntN(10)), "weightDecay": "0.01", "scheduler": "cosine",
		"optimizer": "adamw", "beta1": "0.9", "beta2": "0.95", "gradientClip": "1.0", "precision": "bf16", "seed": strconv.Itoa(r.IntN(1 << 20)),
		"gradientCheckpointing": "true", "maxSequence": strconv.Itoa(1024 << r.IntN(4)), "packing": "true", "devices": strconv.Itoa(8 << r.IntN(4)),
		"loraRank": "16", "loraAlpha": "32", "evalEvery": "500", "saveEvery": "1000",
	}
}

// edges yields what every making says.
func (f *Fleet) edges(yield func(Edge) bool) {
	one := func(m making) bool {
		for _, o := range m.outputs {
			for _, in := range m.inputs {
				if !yield(Edge{o.Digest, in.Digest, in.Role}) {
					return false
				}
			}
		}
		return true
	}
	for i := range f.raws {
		if !one(f.makingOfRaw(i)) {
			return
		}
	}
	for i := range f.data {
		if !one(f.makingOfData(i)) {
			return
		}
	}
	for i := range f.versions {
		for _, m := range f.makingsOf(&f.versions[i]) {
			if !one(m) {
				return
			}
		}
	}
}
