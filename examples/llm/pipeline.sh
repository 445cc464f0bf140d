#!/usr/bin/env bash
# A base model that somebody else published, a LoRA adapter, the two merged, and the
# result in two widths: first in staging, then in production.
#
#   examples/llm/pipeline.sh DIR
#
# Needs pedigree, llm (go build ./examples/llm/cmd/llm), git and bash. Everything is
# kept in DIR, the artifacts and the evidence in an OCI layout; with
# REGISTRY=registry.example/acme/opticks they go to a registry instead.
set -euo pipefail

if [ $# -ne 1 ]; then
	echo "usage: pipeline.sh DIR" >&2
	exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1" && cd "$1"
registry=${REGISTRY:-ocidir://registry}
# The keys of an example are not worth a passphrase. Yours are.
export PEDIGREE_PASSWORD=

say() { printf '\n=== %s\n' "$*"; }
# refused CODE COMMAND… runs a verification that must end with DENY and that code.
refused() {
	local code=$1 status=0
	shift
	"$@" >refusal.txt || status=$?
	cat refusal.txt
	if [ "$status" -ne 1 ] || ! grep -q "$code" refusal.txt; then
		echo "pipeline.sh: exit status $status, want 1 and $code" >&2
		exit 1
	fi
}

# Who there is. The publisher of the base model is another company; everybody else
# works here. In earnest nobody has all their keys in one folder.
mkdir -p keys
for who in hub data trainer evaluator scanner deployer registrar security alice bob carol; do
	pedigree -q key generate --out "keys/$who" >/dev/null
done

say "The publisher: two base models, each signed once, file by file"
llm ingest --in "$here/data/tom-sawyer.txt" --out work/general
llm base --data work/general --name tiny-base --out work/base
llm base --data work/general --name tiny-base-b --seed 2 --epochs 1 --out work/base-b
pins=
for model in base base-b; do
	llm oms --model "work/$model" --name "tiny-$model" --key keys/hub.key --out "$model.sigstore.json"
	pushed=$(pedigree push "$registry:$model" "work/$model")
	echo "$pushed"
	pins="${pins:+$pins, }\"${pushed##*@}\""
	pedigree attach "$registry:$model" "$model.sigstore.json"
done

# Our side: what is asked of the base model, and of what is made from it. Every
# policy has an end; these copies are good for about a year. The second
# pins the first by its digest, which the publisher's key is part of, and the base
# models that somebody looked at by theirs.
expires="s/expires: [0-9-]*T/expires: $(($(date -u +%Y) + 1))-$(date -u +%m)-01T/"
sed "$expires" "$here/base.yaml" >base.yaml
base_policy=$(pedigree policy check base.yaml | sed -n 's/^digest *//p')
sed -e "$expires" -e "/^  base:/s/sha256:0*/$base_policy/" -e "s/policy: base, pin: .*/policy: base, pin: [$pins]}/" "$here/policy.yaml" >policy.yaml
pedigree policy check policy.yaml

say "The text, and the plan, which is signed before anything is trained"
pedigree run --step ingest --key keys/data.key \
	--input "raw-data=https://www.gutenberg.org/ebooks/33504@sha256:f7461028fdad7c8b3396f2dd8d3f8e59fc205291b8103d44c159644c03de59a8,file=$here/data/opticks.txt" \
	--output "text=work/text,to=$registry:text,kind=dataset" \
	-- llm ingest --in "$here/data/opticks.txt" --out work/text
pedigree run --step prepare --key keys/data.key \
	--input "raw-data=$registry:text,path=work/text" \
	--output "train=work/train,to=$registry:train,kind=dataset" \
	--output "test=work/test,to=$registry:test,kind=dataset" \
	-- llm prepare --in work/text --train work/train --test work/test
pedigree run --step plan --key keys/evaluator.key \
	--output "plan=work/plan,to=$registry:plan,kind=doc" \
	-- sh -c 'mkdir work/plan && cp "$1" work/plan' sh "$here/evaluation-plan.md"
sed "s/REGISTERED/$(date -u +%Y-%m-%dT%H:%M:%SZ)/" "$here/preregistration.json" >preregistration.json
pedigree attest "$registry:plan" --type preregistration --predicate preregistration.json --key keys/evaluator.key

say "Fine-tune and merge"
mkdir code
cat >code/finetune.sh <<'SCRIPT'
#!/bin/sh
exec llm finetune --base "$1" --data "$2" --out "$3" --rank 4 --alpha 8
SCRIPT
git init -q -b main code
git -C code remote add origin https://git.example/acme/opticks
git -C code add .
git -C code -c user.name=Carol -c user.email=carol@acme.example -c commit.gpgsign=false commit -q -m "Fine-tune on Opticks"
pedigree run --step finetune --key keys/trainer.key --code code --param version=1.2 \
	--input "base-model=$registry:base,path=work/base" \
	--input "training-data=$registry:train,path=work/train" \
	--output "adapter=work/adapter,to=$registry:adapter" \
	-- sh code/finetune.sh work/base work/train work/adapter

# merge BASE NAME adds the adapter to a base model.
merge() {
	pedigree run --step merge --key keys/trainer.key \
		--input "base-model=$registry:$1,path=work/$1" \
		--input "adapter=$registry:adapter,path=work/adapter" \
		--output "model=work/$2,to=$registry:$2" \
		-- llm merge --base "work/$1" --adapter work/adapter --name tiny-opticks --out "work/$2"
}
# quantize MODEL BITS NAME
quantize() {
	pedigree run --step quantize --key keys/trainer.key --param "bits=$2" \
		--input "parent-model=$registry:$1,path=work/$1" \
		--output "model=work/$3,to=$registry:$3" \
		-- llm quantize --model "work/$1" --bits "$2" --out "work/$3"
}
# evaluate MODEL measures how well it predicts the text that was held out.
evaluate() {
	pedigree run --step evaluate --key keys/evaluator.key \
		--about "$registry:$1,path=work/$1" --type evaluation --predicate "work/$1-quality.json" \
		--input "evaluation-data=$registry:test,path=work/test" \
		--input "plan=$registry:plan,path=work/plan" \
		-- llm evaluate --model "work/$1" --data work/test --out "work/$1-quality.json"
}
# scan MODEL looks at the bytes of its files.
scan() {
	pedigree run --step scan --key keys/scanner.key \
		--about "$registry:$1,path=work/$1" --type evaluation --predicate "work/$1-scan.json" \
		-- llm scan --model "work/$1" --out "work/$1-scan.json"
}
# publish MODEL lists what evidence there is, so that nobody can hide any.
publish() {
	pedigree status publish "$registry:$1" --policy policy.yaml --key keys/registrar.key --valid-for 120h
}

merge base merged
evaluate merged
for bits in 8 4; do
	quantize merged "$bits" "q$bits"
	evaluate "q$bits"
	scan "q$bits"
	publish "q$bits"
done

say "Staging: both widths, each by its own thresholds"
pedigree verify "$registry:q8" --policy policy.yaml --context staging
pedigree verify "$registry:q4" --policy policy.yaml --context staging

say "Not production: nobody approved it, and it never ran anywhere"
refused E_CHAIN_MISSING pedigree verify "$registry:q8" --policy policy.yaml --context prod

say "It runs in staging, and two people look at it"
# In earnest whatever loads the model writes this record, and people approve at a
# terminal, without --yes.
cat >deployment.json <<JSON
{"environment": "staging", "deployedAt": "$(date -u +%Y-%m-%dT%H:%M:%SZ)", "target": {"cluster": "eu-1", "service": "opticks"}, "reason": "promote"}
JSON
pedigree attest "$registry:q8" --type deployment --predicate deployment.json --key keys/deployer.key
pedigree approve "$registry:q8" --policy policy.yaml --context staging --key keys/alice.key --role risk --yes
pedigree approve "$registry:q8" --policy policy.yaml --context staging --key keys/bob.key --role owner --yes
publish q8

say "Production: not yet, and three days later"
refused E_TIME_WINDOW pedigree verify "$registry:q8" --policy policy.yaml --context prod
later=$(date -u -d '+73 hours' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+73H +%Y-%m-%dT%H:%M:%SZ)
pedigree verify "$registry:q8" --policy policy.yaml --context prod --at "$later" --dir work/q8

say "The same adapter, merged into the publisher's other base model"
merge base-b wrong
evaluate wrong
quantize wrong 8 q8-wrong
evaluate q8-wrong
scan q8-wrong
publish q8-wrong
refused E_CHAIN_BROKEN_EDGE pedigree verify "$registry:q8-wrong" --policy policy.yaml --context staging
