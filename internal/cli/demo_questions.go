package cli

// questionScenes are the bad day: somebody calls, and asks.
func questionScenes() []scene {
	return []scene{
		{title: "Question: what made this model?", story: "Every line is something that somebody signed.", lines: []line{
			{command: "pedigree trace ocidir://registry:int8 --policy policy.yaml", want: []string{"which says ALLOW", "approved by alice", "parent-model", "evaluation-data"}, until: "Where the evidence ends"},
		}},
		{title: "Question: is what runs the approved model?", story: "Two servers. The second one loaded what came from the registry of the first attack.", lines: []line{
			{command: "pedigree diff --deployed work/int8 ocidir://registry:int8 --policy policy.yaml", until: "Who decided"},
			{command: "pedigree diff --deployed work/swapped ocidir://registry:int8 --policy policy.yaml", status: exitDeny,
				want: []string{"NOT THE ARTIFACT", "✗ model.safetensors", "2 the artifact's, 1 changed"}, until: "Who decided"},
		}},
		{title: "Question: who is affected, where does it run, and what do we go back to?",
			story: "The deployer signs what it loads. Then the training data turn out to be bad.", lines: []line{
				{command: "cp -r registry incident"},
				{command: "pedigree attest deployment ocidir://incident:int8 --environment prod --target eu-1/credit --loaded work/int8 --first --key keys/registrar.key"},
				{command: "pedigree impact ocidir://incident:train --policy policy.yaml", want: []string{"2 artifacts are made from it", "prod", "eu-1"}, until: "What this does not prove"},
				{command: "pedigree last-good ocidir://incident --policy policy.yaml", want: []string{"ALLOW  sha256:", "int8"}, until: "To verify it"},
				{command: `pedigree revoke ocidir://incident:train --reason "poisoned" --key keys/dora.key --policy policy.yaml --yes`},
				{command: "pedigree last-good ocidir://incident --policy policy.yaml", status: exitDeny, want: []string{"E_LAST_GOOD", "E_REVOKED"}, until: "What was not judged"},
				{command: "pedigree history prod ocidir://incident --policy policy.yaml", want: []string{"eu-1", "int8", "E_REVOKED"}, until: "What this does not prove"},
			}},
	}
}
