package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/internal/play"
)

// exitDeny is what verify ends with if the answer is no.
const exitDeny = 1

// rawData is the data set as its publisher has it, and its digest.
const rawData = "https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data@sha256:38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632"

// harness names the evaluation's code: the commit that is checked out.
const harness = `git+https://git.example/acme/credit@gitCommit:$(git -C code rev-parse HEAD)`

func scenes() []play.Scene { return slices.Concat(pipeline(), attacks()) }

func pipeline() []play.Scene {
	return []play.Scene{
		{Title: "Who is who", Story: "Nobody here has a key file. The build system tells Fulcio which step of which pipeline\nasks, and Fulcio writes that into a certificate for a key that is thrown away.", Lines: []play.Line{
			{Command: "cat tokens/train.json", Want: []string{"acme/credit"}},
			{Command: "pedigree trust show trust.yaml", Want: []string{"acme"}},
			{Command: "pedigree policy check policy.yaml", Want: []string{"credit-prod version 7"}},
			{Command: "sed -n '/^trust/,/^status/p' policy.yaml", Want: []string{"trigger: push"}, Until: "# Whoever"},
		}},
		{Title: "Code", Story: "The training code is a git repository; its commit becomes an input of the steps that use it.", Lines: []play.Line{
			{Command: "git init -q -b main code && git -C code remote add origin https://git.example/acme/credit"},
			{Command: "git -C code add . && git -C code -c user.name=Carol -c user.email=carol@acme.example -c commit.gpgsign=false commit -q -m 'Train a credit model'"},
		}},
		{Title: "Data", Story: "Each step signs with its own token: a certificate, a log entry and two timestamps each.", Lines: []play.Line{
			{Command: play.Join(
				`pedigree run --step ingest `+as("ingest"),
				`--input raw-data=`+rawData+`,file=raw/german-credit.csv`,
				`--output data=work/data,to=ocidir://registry:data,kind=dataset`,
				`-- pedigree demo credit ingest --in raw/german-credit.csv --out work/data`)},
			{Command: play.Join(
				`pedigree -q run --step prepare --code code `+as("prepare"),
				`--input raw-data=ocidir://registry:data,path=work/data`,
				`--output train=work/train,to=ocidir://registry:train,kind=dataset`,
				`--output test=work/test,to=ocidir://registry:test,kind=dataset`,
				`-- sh code/prepare.sh work/data work/train work/test`)},
		}},
		{Title: "Model", Story: "Trained, and quantised to 8 bits.", Lines: []play.Line{
			{Command: train("pedigree", "train", "registry")},
			{Command: quantize("registry")},
			{Command: "cp -r registry not-evaluated   # for later"},
		}},
		{Title: "Evaluation", Lines: []play.Line{
			{Command: evaluate("registry", "quality"), Until: "GROUP"},
			{Command: evaluate("registry", "bias"), Until: "GROUP"},
		}},
		{Title: "Approval", Story: "Alice and Bob log in, look at the evidence and sign as who they are.", Lines: []play.Line{
			{Command: approve("registry", "alice"), Want: []string{"EVAL-1", "BIAS-1"}, Until: "Steps"},
			{Command: "cp -r registry one-approval   # for later"},
			{Command: approve("registry", "bob"), Until: "Evidence"},
			{Command: "cp -r registry unlisted   # for later"},
		}},
		{Title: "The list of what there is", Lines: []play.Line{
			{Command: publish("registry")},
		}},
		{Title: "The question: may this model be used?", Lines: []play.Line{
			{Command: verify("registry", ""), Want: []string{"ALLOW", "alice, bob"}},
		}},
	}
}

// denied asks the question once more, and wants no, for what is wanted in the reasons.
func denied(registry, flags string, want ...string) play.Line {
	return play.Line{Command: verify(registry, flags), Status: exitDeny, Want: append([]string{"DENY"}, want...), Until: "Steps"}
}

// replaced puts a training by somebody else in the place of the genuine one, in a copy
// of the registry of before the list was made, and has a list made of what there is then.
func replaced(registry, who string, want ...string) []play.Line {
	return []play.Line{
		{Command: fmt.Sprintf(`cp -r unlisted %[1]s && pedigree demo remove ocidir://%[1]s:model $(pedigree -q list ocidir://%[1]s:model --output json | grep -o '"payload": *"sha256:[0-9a-f]*' | grep -o 'sha256:.*')`, registry)},
		{Command: train("pedigree -q", who, registry)},
		{Command: publish(registry)},
		denied(registry, "", append([]string{"✗ train"}, want...)...),
	}
}

func attacks() []play.Scene {
	return []play.Scene{
		{Title: "Attack: the pipeline of a fork trains the model",
			Story: "The genuine record of the training goes, and one by the same file in Mallory's fork comes:\na good token, a good certificate of the same authority, and another subject in it. Nobody\nwhom the policy names, so it is passed over.", Lines: replaced("forked", "train-of-a-fork", "E_CHAIN_MISSING", "passed over")},
		{Title: "Attack: Mallory's repository runs the right pipeline",
			Story: "A pipeline may be run for other repositories than its own. The subject is the right one;\nwhat it ran on is not.", Lines: replaced("called", "train-called-by-a-fork", "E_IDENTITY", "mallory/credit")},
		{Title: "Attack: a run for a pull request trains the model",
			Story: "The right pipeline, subject and repository; but what ran was somebody's proposal.", Lines: replaced("proposed", "train-for-a-pull-request", "E_IDENTITY", "pull_request")},
		{Title: "Attack: the trainer approves what it trained",
			Story: "Refused before it is signed; and if it is signed with another tool, it counts for nothing.", Lines: []play.Line{
				{Command: approve("one-approval", "train"), Status: exitDeny, Want: []string{"E_IDENTITY"}, Until: "Evidence"},
				{Command: `printf '{"decision": "approved", "approvedAt": "%s", "scope": {"environments": ["prod"]}, "basis": [{"payload": {"sha256": "%s"}, "artifact": {"sha256": "%s"}}]}' \
    $(date -u +%Y-%m-%dT%H:%M:%SZ) $(cut -d: -f2 work/quality.payload) $(pedigree list ocidir://registry:int8 --output json | grep -o 'sha256:[0-9a-f]*' | head -1 | cut -d: -f2) > work/approval.json`},
				{Command: "pedigree -q attest ocidir://one-approval:int8 --type approval --predicate work/approval.json " + as("train")},
				{Command: publish("one-approval")},
				denied("one-approval", "", "E_QUORUM", "✗ approve"),
			}},
		{Title: "Attack: an old evaluation is signed and stamped again",
			Story: "The result of six weeks ago, with a certificate and timestamps of today. They say when it\nwas signed, and not when it was found: its age stays what it says of itself, and that is\ntoo far from when it was seen first.", Lines: []play.Line{
				{Command: "cp -r not-evaluated restamped && " + restamp("quality")},
				{Command: restamp("bias")},
				{Command: publish("restamped")},
				denied("restamped", "", "E_TIME_WINDOW", "✗ evaluate"),
			}},
		{Title: "Attack: the trust file is exchanged",
			Story: "Mallory runs an instance of her own, whose Fulcio certifies whatever she likes, and puts\nits trust file where the gate looks for one. The policy names the right one by digest.", Lines: []play.Line{
				{Command: verify("registry", "--trust mallory/trust.yaml"), Status: exitDeny, Want: []string{"E_TRUSTROOT"}, Until: "Steps"},
			}},
	}
}

// afterwards is played when every service is gone.
func afterwards() []play.Scene {
	return []play.Scene{
		{Title: "Years later: an auditor, alone",
			Story: "Fulcio, Rekor, the timestamp authorities and the issuers have been stopped, and every\ncertificate will have expired. What they said is in the bundles.", Lines: []play.Line{
				{Command: "pedigree run --step ingest " + as("ingest") + " --input raw-data=" + rawData + ",file=raw/german-credit.csv --output data=work/data,to=ocidir://registry:data,kind=dataset -- true", Status: 125, Want: []string{"E_SIGN_SERVICE"}},
				{Command: verify("registry", "--offline"), Want: []string{"ALLOW", "alice, bob"}, Until: "Steps"},
			}},
	}
}

// as are the flags with which somebody signs.
func as(who string) string {
	return fmt.Sprintf("--identity-token tokens/%s.jwt --signing-config signing_config.json", who)
}

func train(pedigree, who, registry string) string {
	return play.Join(
		pedigree+` run --step train --code code `+as(who),
		fmt.Sprintf(`--input training-data=ocidir://%s:train,path=work/train`, registry),
		fmt.Sprintf(`--output model=work/%[1]s-model,to=ocidir://%[1]s:model`, registry),
		fmt.Sprintf(`-- sh code/train.sh work/train work/%s-model`, registry))
}

func quantize(registry string) string {
	return play.Join(
		`pedigree -q run --step quantize `+as("quantize"),
		fmt.Sprintf(`--input parent-model=ocidir://%[1]s:model,path=work/%[1]s-model`, registry),
		fmt.Sprintf(`--input calibration-data=ocidir://%s:train,path=work/train`, registry),
		fmt.Sprintf(`--output model=work/%[1]s-int8,to=ocidir://%[1]s:int8`, registry),
		fmt.Sprintf(`-- pedigree demo credit quantize --model work/%[1]s-model --calibration work/train --out work/%[1]s-int8`, registry))
}

// evaluate keeps the payload's digest beside the predicate.
func evaluate(registry, kind string) string {
	return evaluation(registry, kind, fmt.Sprintf("pedigree demo credit evaluate --model work/registry-int8 --data work/test --kind %[1]s --out work/%[1]s.json > work/%[1]s.payload", kind))
}

// restamp has the evaluator say what it says, of six weeks ago.
func restamp(kind string) string {
	return evaluation("restamped", kind+"-old", fmt.Sprintf(`sed "s/\"evaluatedAt\": *\"[^\"]*\"/\"evaluatedAt\": \"$(date -u -d '42 days ago' +%%Y-%%m-%%dT%%H:%%M:%%SZ)\"/" work/%[1]s.json > work/%[1]s-old.json`, kind))
}

func evaluation(registry, predicate, command string) string {
	if strings.Contains(command, "sed") {
		command = "sh -c '" + strings.ReplaceAll(command, "'", `'\''`) + "'"
	}
	return play.Join(
		`pedigree -q run --step evaluate `+as("evaluate"),
		fmt.Sprintf(`--about ocidir://%s:int8,path=work/registry-int8 --type evaluation --predicate work/%s.json`, registry, predicate),
		fmt.Sprintf(`--input evaluation-data=ocidir://%s:test,path=work/test`, registry),
		`--input harness=`+harness,
		`-- `+command)
}

func approve(registry, who string) string {
	return play.Join(
		fmt.Sprintf("pedigree -q approve ocidir://%s:int8 --policy policy.yaml --trust trust.yaml --yes", registry),
		as(who))
}

func publish(registry string) string {
	return play.Join(
		fmt.Sprintf("pedigree -q status publish ocidir://%s:int8 --policy policy.yaml --trust trust.yaml --valid-for 24h", registry),
		as("register"))
}

func verify(registry, flags string) string {
	if !strings.Contains(flags, "--trust ") {
		flags = strings.TrimSpace("--trust trust.yaml " + flags)
	}
	return fmt.Sprintf("pedigree verify ocidir://%s:int8 --policy policy.yaml %s", registry, flags)
}
