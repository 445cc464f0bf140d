package cli

import "github.com/pedigree-ml/pedigree/internal/play"

// questionScenes are the bad day: somebody calls, and asks.
func questionScenes() []play.Scene {
	return []play.Scene{
		{Title: "Question: what made this model?", Story: "Every line is something that somebody signed.", Lines: []play.Line{
			{Command: "pedigree trace ocidir://registry:int8 --policy policy.yaml", Want: []string{"which says ALLOW", "approved by alice", "parent-model", "evaluation-data"}, Until: "Where the evidence ends"},
		}},
		{Title: "Question: is what runs the approved model?", Story: "Two servers. The second one loaded what came from the registry of the first attack.", Lines: []play.Line{
			{Command: "pedigree diff --deployed work/int8 ocidir://registry:int8 --policy policy.yaml", Until: "Who decided"},
			{Command: "pedigree diff --deployed work/swapped ocidir://registry:int8 --policy policy.yaml", Status: exitDeny,
				Want: []string{"NOT THE ARTIFACT", "✗ model.safetensors", "2 the artifact's, 1 changed"}, Until: "Who decided"},
		}},
		{Title: "Question: who is affected, where does it run, and what do we go back to?",
			Story: "The deployer signs what it loads. Then the training data turn out to be bad.", Lines: []play.Line{
				{Command: "cp -r registry incident"},
				{Command: "pedigree attest deployment ocidir://incident:int8 --environment prod --target eu-1/credit --loaded work/int8 --first --key keys/registrar.key"},
				{Command: "pedigree impact ocidir://incident:train --policy policy.yaml", Want: []string{"2 artifacts are made from it", "prod", "eu-1"}, Until: "What this does not prove"},
				{Command: "pedigree last-good ocidir://incident --policy policy.yaml", Want: []string{"ALLOW  sha256:", "int8"}, Until: "To verify it"},
				{Command: `pedigree revoke ocidir://incident:train --reason "poisoned" --key keys/dora.key --policy policy.yaml --yes`},
				{Command: "pedigree last-good ocidir://incident --policy policy.yaml", Status: exitDeny, Want: []string{"E_LAST_GOOD", "E_REVOKED"}, Until: "What was not judged"},
				{Command: "pedigree history prod ocidir://incident --policy policy.yaml", Want: []string{"eu-1", "int8", "E_REVOKED"}, Until: "What this does not prove"},
			}},
	}
}
