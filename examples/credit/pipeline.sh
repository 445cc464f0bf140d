#!/usr/bin/env bash
# The credit pipeline as a user would write it: one `pedigree run` for each step,
# two approvals, and the question at the end.
#
#   examples/credit/pipeline.sh DIR
#
# Needs pedigree, git and bash. Everything is kept in DIR, the artifacts and the
# evidence in an OCI layout; with REGISTRY=registry.example/acme/credit they go to
# a registry instead. A real project's trainer is its own program; this one is
# built into pedigree, as `pedigree demo credit`.
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

# Who there is: four machines and four people, each with a key of their own. In
# earnest nobody has all of them in one folder.
mkdir -p keys
for who in data trainer evaluator registrar alice bob carol dora; do
	pedigree -q key generate --out "keys/$who" >/dev/null
done
# Every policy has an end; this copy is good until the end of next year.
sed "s/expires: [0-9-]*T/expires: $(($(date -u +%Y) + 1))-12-31T/" "$here/policy.yaml" >policy.yaml

# The code is a repository; the policy asks where it comes from.
mkdir code
cat >code/train.sh <<'SCRIPT'
#!/bin/sh
exec pedigree demo credit train --data "$1" --out "$2"
SCRIPT
git init -q -b main code
git -C code remote add origin https://git.example/acme/credit
git -C code add .
git -C code -c user.name=Carol -c user.email=carol@acme.example -c commit.gpgsign=false commit -q -m "Train a credit model"
commit=git+https://git.example/acme/credit@gitCommit:$(git -C code rev-parse HEAD)

# Data: the publisher's file by its digest, then the split.
pedigree run --step ingest --key keys/data.key \
	--input "raw-data=https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data@sha256:38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632,file=$here/data/german-credit.csv" \
	--output "data=work/data,to=$registry:data,kind=dataset" \
	-- pedigree demo credit ingest --in "$here/data/german-credit.csv" --out work/data

pedigree run --step prepare --key keys/data.key --code code \
	--input "raw-data=$registry:data,path=work/data" \
	--output "train=work/train,to=$registry:train,kind=dataset" \
	--output "test=work/test,to=$registry:test,kind=dataset" \
	-- pedigree demo credit split --in work/data --train work/train --test work/test

# The model, and the quantised one that is to be used.
pedigree run --step train --key keys/trainer.key --code code \
	--input "training-data=$registry:train,path=work/train" \
	--output "model=work/model,to=$registry:model" \
	-- sh code/train.sh work/train work/model

pedigree run --step quantize --key keys/trainer.key \
	--input "parent-model=$registry:model,path=work/model" \
	--input "calibration-data=$registry:train,path=work/train" \
	--output "model=work/int8,to=$registry:int8" \
	-- pedigree demo credit quantize --model work/model --calibration work/train --out work/int8

# Two records of how well and how fairly it decides.
for kind in quality bias; do
	pedigree run --step evaluate --key keys/evaluator.key \
		--about "$registry:int8,path=work/int8" --type evaluation --predicate "work/$kind.json" \
		--input "evaluation-data=$registry:test,path=work/test" \
		--input "harness=$commit" \
		-- pedigree demo credit evaluate --model work/int8 --data work/test --kind "$kind" --out "work/$kind.json"
done

# Two people look at it. In earnest each does so at a terminal, without --yes.
for who in alice bob; do
	pedigree approve "$registry:int8" --policy policy.yaml --key "keys/$who.key" --yes
done

# The registrar lists what there is, so that nothing of it can be removed unnoticed.
# In earnest it does so by itself, every few hours.
pedigree status publish "$registry:int8" --policy policy.yaml --key keys/registrar.key --valid-for 24h

pedigree verify "$registry:int8" --policy policy.yaml
