package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/internal/play"
)

// rawData is the data set as its publisher has it, and its digest.
const rawData = "https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data@sha256:38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632"

// harness names the evaluation's code: the commit that is checked out.
const harness = `git+https://git.example/acme/credit@gitCommit:$(git -C code rev-parse HEAD)`

// demoScenes returns the demonstration. The commands are text for a shell:
// what is printed is what runs.
func demoScenes(now time.Time) []play.Scene {
	return slices.Concat(pipelineScenes(), attackScenes(now), questionScenes(), gateScenes())
}

func pipelineScenes() []play.Scene {
	var keys []play.Line
	for _, who := range []string{"data", "trainer", "evaluator", "registrar", "alice", "bob", "carol", "dora"} {
		keys = append(keys, play.Line{Command: "pedigree -q key generate --out keys/" + who})
	}
	keys[0].Command = "mkdir keys && " + keys[0].Command
	return []play.Scene{
		{Title: "Keys", Story: "Four machines and four people. PEDIGREE_PASSWORD is empty, so these keys are not encrypted.", Lines: keys},
		{Title: "Code", Story: "The training code is a git repository; its commit becomes an input of the steps that use it.", Lines: []play.Line{
			{Command: "git init -q -b main code && git -C code remote add origin https://git.example/acme/credit"},
			{Command: "git -C code add . && git -C code -c user.name=Carol -c user.email=carol@acme.example -c commit.gpgsign=false commit -q -m 'Train a credit model'"},
			{Command: "pedigree policy check policy.yaml", Want: []string{"credit-prod version 7"}},
		}},
		{Title: "Data", Story: "Each step runs under `pedigree run`, which hashes what goes in and out and signs it.", Lines: []play.Line{
			{Command: play.Join(
				`pedigree run --step ingest --key keys/data.key`,
				`--input raw-data=`+rawData+`,file=raw/german-credit.csv`,
				`--output data=work/data,to=ocidir://registry:data,kind=dataset`,
				`-- pedigree demo credit ingest --in raw/german-credit.csv --out work/data`)},
			{Command: play.Join(
				`pedigree run --step prepare --key keys/data.key --code code`,
				`--input raw-data=ocidir://registry:data,path=work/data`,
				`--output train=work/train,to=ocidir://registry:train,kind=dataset`,
				`--output test=work/test,to=ocidir://registry:test,kind=dataset`,
				`-- sh code/prepare.sh work/data work/train work/test`)},
		}},
		{Title: "Model", Story: "Trained, and quantised to 8 bits. The quantised model is the one to be used.", Lines: []play.Line{
			{Command: train("trainer", "registry", "work/model")},
			{Command: quantize("registry", "int8", "work/int8", "")},
		}},
		{Title: "Evaluation", Story: "By a machine of its own, on data that the model was not trained on.", Lines: []play.Line{
			{Command: evaluate("registry", "int8", "work/int8", "quality")},
			{Command: evaluate("registry", "int8", "work/int8", "bias"), Until: "GROUP"},
		}},
		{Title: "Approval", Story: "Two of three people must look at it. (The copy of the registry in between is for later.)", Lines: []play.Line{
			{Command: approve("registry", "int8", "alice"), Want: []string{"EVAL-1", "BIAS-1"}, Until: "Steps"},
			{Command: "cp -r registry one-approval"},
			{Command: approve("registry", "int8", "bob"), Until: "Evidence"},
		}},
		{Title: "The list of what there is", Story: "Whoever can write to a registry can mostly delete from it too. So the registrar lists all\nevidence behind the model and signs the list: what is gone is missed from now on.", Lines: []play.Line{
			{Command: publish("registry", "int8"), Want: []string{"status 1"}},
		}},
		{Title: "The question: may this model be used?", Lines: []play.Line{
			{Command: verifyLine("registry", "int8", ""), Want: []string{"ALLOW", "alice, bob"}},
		}},
	}
}

func attackScenes(now time.Time) []play.Scene {
	denied := func(registry, model, flags string, want ...string) play.Line {
		return play.Line{Command: verifyLine(registry, model, flags), Status: exitDeny, Want: append([]string{"DENY"}, want...), Until: "Steps"}
	}
	later := now.Add(100 * 24 * time.Hour).UTC().Format(time.RFC3339)
	return []play.Scene{
		{Title: "Attack: the weights are swapped after approval",
			Story: "Somebody changes one byte of the approved weights and pushes them under the same tag.", Lines: []play.Line{
				{Command: "cp -r registry swapped && pedigree pull ocidir://swapped:int8 --to work/swapped"},
				{Command: "printf X | dd of=work/swapped/model.safetensors bs=1 seek=200 conv=notrunc status=none"},
				{Command: "pedigree push ocidir://swapped:int8 work/swapped --name model"},
				{Command: publish("swapped", "int8")},
				denied("swapped", "int8", "", "E_CHAIN_MISSING", "✗ quantize"),
			}},
		{Title: "Attack: the evaluation of another model is reused",
			Story: "A 3-bit model is really made by the trainer, but nobody evaluates it. The evaluations\nof the 8-bit model are attached to it, with a tool that does not ask what they are about.", Lines: []play.Line{
				{Command: "cp -r registry reused"},
				{Command: quantize("reused", "int3", "work/int3", " --bits 3")},
				{Command: "pedigree -q show ocidir://reused:int8 $(cat work/quality.payload) --bundle > work/quality.bundle.json"},
				{Command: "pedigree attach ocidir://reused:int3 work/quality.bundle.json", Status: exitDeny, Want: []string{"E_SUBJECT_MISMATCH"}},
				{Command: "pedigree demo force-attach ocidir://reused:int3 work/quality.bundle.json"},
				{Command: publish("reused", "int3")},
				denied("reused", "int3", "", "E_CHAIN_MISSING", "E_SUBJECT_MISMATCH", "✗ evaluate"),
			}},
		{Title: "Attack: one approval is missing",
			Story: "The registry as it was before Bob approved.", Lines: []play.Line{
				{Command: publish("one-approval", "int8")},
				denied("one-approval", "int8", "", "E_QUORUM", "✗ approve"),
			}},
		{Title: "Attack: a person who trained the model approves it",
			Story: "Carol may train by hand, and did: the same data and code, so the very same model. Now\nshe may not approve it; but she could have approved first, and have trained after that.", Lines: []play.Line{
				{Command: "cp -r one-approval carol"},
				{Command: "cp -r one-approval carol-first"},
				{Command: train("carol", "carol", "work/model-by-carol")},
				{Command: approve("carol", "int8", "carol"), Status: exitDeny, Want: []string{"E_QUORUM carol"}, Until: "Evidence"},
				{Command: approve("carol-first", "int8", "carol"), Until: "Evidence"},
				{Command: "cp -r carol-first carol-then && " + train("carol", "carol-then", "work/model-by-carol-2")},
				{Command: publish("carol-then", "int8")},
				denied("carol-then", "int8", "", "E_QUORUM", "✗ approve", "carol"),
			}},
		{Title: "Attack: a training set is exchanged",
			Story: "Bad loans at the top of the training set become good ones. Everything after that is done\nproperly and signed.", Lines: []play.Line{
				{Command: "cp -r registry exchanged && mkdir work/poisoned && sed '2,60s/,bad$/,good/' work/train/train.csv > work/poisoned/train.csv"},
				{Command: "pedigree push ocidir://exchanged:train work/poisoned --kind dataset"},
				{Command: exchanged(train("trainer", "exchanged", "work/model-x"), "work/train", "work/poisoned")},
				{Command: exchanged(quantizeFrom("exchanged", "work/model-x", "int8", "work/int8-x", ""), "work/train", "work/poisoned")},
				{Command: evaluate("exchanged", "int8", "work/int8-x", "quality"), Until: "GROUP"},
				{Command: evaluate("exchanged", "int8", "work/int8-x", "bias"), Until: "GROUP"},
				{Command: approve("exchanged", "int8", "alice"), Status: exitDeny, Want: []string{"not approved"}, Until: "Evidence"},
				{Command: publish("exchanged", "int8")},
				denied("exchanged", "int8", "", "E_CHAIN_BROKEN_EDGE", "✗ train"),
			}},
		{Title: "Attack: an evaluation below the threshold",
			Story: "With 2 bits the model is worse than always saying yes. The evaluator says so, and nobody\ncan approve it.", Lines: []play.Line{
				{Command: "cp -r registry weak"},
				{Command: quantize("weak", "int2", "work/int2", " --bits 2")},
				{Command: evaluate("weak", "int2", "work/int2", "quality"), Until: "GROUP"},
				{Command: evaluate("weak", "int2", "work/int2", "bias"), Until: "GROUP"},
				{Command: approve("weak", "int2", "alice"), Status: exitDeny, Want: []string{"not approved"}, Until: "Evidence"},
				{Command: publish("weak", "int2")},
				denied("weak", "int2", "", "E_RULE", "accuracy below 0.70", "✗ evaluate"),
			}},
		{Title: "Attack: an approval older than allowed",
			Story: "The approved model again, a hundred days on: the policy lets approvals stand for ninety.\n(The list of what there is holds longer here than anybody would have it hold.)", Lines: []play.Line{
				{Command: "cp -r registry later && " + strings.Replace(publish("later", "int8"), "24h", "4800h", 1)},
				denied("later", "int8", "--at "+later, "E_STALE", "✗ approve"),
			}},
		{Title: "Attack: a failing evaluation is removed",
			Story: "A later evaluation fails, and the registrar lists it. Then somebody deletes it from the\nregistry: what is left is the evidence that was allowed above. It does not come off the\nlist by publishing again either.", Lines: []play.Line{
				{Command: "cp -r registry removed"},
				{Command: laterResult},
				{Command: play.Join(
					`pedigree run --step evaluate --key keys/evaluator.key`,
					`--about ocidir://removed:int8,path=work/int8 --type evaluation --predicate work/failing.json`,
					`--input evaluation-data=ocidir://removed:test,path=work/test --input harness=`+harness,
					`-- cp work/monthly.json work/failing.json > work/failing.payload`)},
				{Command: publish("removed", "int8"), Want: []string{"status 2"}},
				denied("removed", "int8", "", "E_RULE", "✗ evaluate"),
				{Command: "pedigree demo remove ocidir://removed:int8 $(cat work/failing.payload)"},
				{Command: verifyLine("removed", "int8", ""), Status: exitUndecided, Want: []string{"UNDECIDED", "E_STATUS", "it is not there"}, Until: "  ? evaluate"},
				{Command: publish("removed", "int8"), Status: exitDeny, Want: []string{"E_STATUS", "--drop"}},
			}},
		{Title: "Withdrawn: the data set",
			Story: "A customer's consent was void, and Dora revokes the training set. Whatever was made from\nit is refused at once, with the way to it; nobody has to know which models those are.", Lines: []play.Line{
				{Command: "cp -r registry withdrawn"},
				{Command: `pedigree revoke ocidir://withdrawn:train --reason "consent withdrawn" --key keys/dora.key --policy policy.yaml --yes`, Want: []string{"everything that was made from it"}},
				denied("withdrawn", "int8", "", "E_REVOKED", "consent withdrawn", "✗ revocation"),
			}},
	}
}

// laterResult is what an evaluation says that is not good enough.
const laterResult = `printf '{"kind": "quality", "evaluatedAt": "%s", "suite": {"name": "monthly"}, "metrics": {"accuracy": {"value": "0.61", "n": 250}}}' $(date -u +%Y-%m-%dT%H:%M:%SZ) > work/monthly.json`

func train(who, registry, out string) string {
	return play.Join(
		fmt.Sprintf(`pedigree run --step train --key keys/%s.key --code code`, who),
		fmt.Sprintf(`--input training-data=ocidir://%s:train,path=work/train`, registry),
		fmt.Sprintf(`--output model=%s,to=ocidir://%s:model`, out, registry),
		fmt.Sprintf(`-- sh code/train.sh work/train %s`, out))
}

func quantize(registry, tag, out, flags string) string {
	return quantizeFrom(registry, "work/model", tag, out, flags)
}

func quantizeFrom(registry, model, tag, out, flags string) string {
	return play.Join(
		`pedigree run --step quantize --key keys/trainer.key`,
		fmt.Sprintf(`--input parent-model=ocidir://%s:model,path=%s`, registry, model),
		fmt.Sprintf(`--input calibration-data=ocidir://%s:train,path=work/train`, registry),
		fmt.Sprintf(`--output model=%s,to=ocidir://%s:%s`, out, registry, tag),
		fmt.Sprintf(`-- pedigree demo credit quantize --model %s --calibration work/train --out %s%s`, model, out, flags))
}

// evaluate keeps the payload's digest beside the predicate.
func evaluate(registry, tag, model, kind string) string {
	file := "work/" + kind
	if registry != "registry" {
		file = "work/" + kind + "-" + registry
	}
	return play.Join(
		`pedigree run --step evaluate --key keys/evaluator.key`,
		fmt.Sprintf(`--about ocidir://%s:%s,path=%s --type evaluation --predicate %s.json`, registry, tag, model, file),
		fmt.Sprintf(`--input evaluation-data=ocidir://%s:test,path=work/test`, registry),
		`--input harness=`+harness,
		fmt.Sprintf(`-- pedigree demo credit evaluate --model %s --data work/test --kind %s --out %s.json > %s.payload`, model, kind, file, file))
}

func exchanged(command, from, to string) string { return strings.ReplaceAll(command, from, to) }

func approve(registry, tag, who string) string {
	return fmt.Sprintf("pedigree approve ocidir://%s:%s --policy policy.yaml --key keys/%s.key --yes", registry, tag, who)
}

func publish(registry, tag string) string {
	return fmt.Sprintf("pedigree status publish ocidir://%s:%s --policy policy.yaml --key keys/registrar.key --valid-for 24h", registry, tag)
}

func verifyLine(registry, tag, flags string) string {
	s := fmt.Sprintf("pedigree verify ocidir://%s:%s --policy policy.yaml", registry, tag)
	if flags != "" {
		s += " " + flags
	}
	return s
}
