package predicate

import (
	"regexp"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxResources bounds the files of one OMS signature: a little more than the 8,000
// files that fit into the manifest of one packed artifact, which they are compared with.
const maxResources = 8192

// omsTable is the OpenSSF Model Signing specification's predicate, version 1.0.
func omsTable() []Field {
	return []Field{
		required(atMost(maxResources, list("resources", "the files that were signed", object("", "",
			required(text("name", "the file's path in the model")),
			required(text("algorithm", "how it was hashed; only `sha256` is compared with anything")),
			required(text("digest", "the hash, in lower-case hexadecimal")))))),
		Field{Name: "serialization", Kind: Any, Doc: "how the model was cut into resources"},
	}
}

var hexPattern = regexp.MustCompile(`^([0-9a-f]{2})+$`)

func (f *Facts) oms() error {
	p := (*path)(nil).field("resources")
	items := at[[]any](f.Tree, "resources")
	f.Resources = make([]Resource, len(items))
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		entry, _ := item.(map[string]any)
		r := Resource{Name: at[string](entry, "name")}
		// Of two entries of one name, two readers would take different ones.
		if seen[r.Name] {
			return schema(p.index(i).field("name"), "is a second file of that name")
		}
		seen[r.Name] = true
		value := at[string](entry, "digest")
		if !hexPattern.MatchString(value) {
			return &attest.Refusal{Code: attest.CodeDigestFormat, About: p.index(i).field("digest").String(), Why: "is not lower-case hexadecimal"}
		}
		if at[string](entry, "algorithm") == "sha256" {
			d, err := attest.NewDigest("sha256", value)
			if err != nil {
				return &attest.Refusal{Code: attest.RefusalCode(err), About: p.index(i).field("digest").String(), Why: "digest", Err: err}
			}
			r.Digest = d
		}
		f.Resources[i] = r
	}
	return nil
}
