package trust

import "github.com/pedigree-ml/pedigree/attest"

// published reports whether the private half of a key is in a public document, and in
// which. The list holds keys of examples and tests that people copy: of the standards,
// of Sigstore's repositories, and those with which Pedigree plays policies' tests. It
// can never be complete, so it only warns; a key that is not on it may be as public.
func published(key attest.Digest) (where string, ok bool) {
	for _, p := range []struct {
		where string
		keys  []string // SHA-256 of the SubjectPublicKeyInfo
	}{
		{"RFC 8032, section 7.1", []string{
			"06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9",
			"deb2ded39dc26fce0e6085b6fc34bf6b5941913bbfe2ea614113cff9e004c170",
			"8d39ba50abe50f77b6bb8ae7b6927aff7ffbeba35ad2837c0e51e82bcbcc60d5"}},
		{"RFC 6979, appendix A.2", []string{
			"5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4",
			"2f95601fa82060b909bfc6b979dbd303d34d34e0afb27ea496beac362f242a4b"}},
		{"cosign's repository", []string{"5f400f5c165e298baf7f35f1f6edd20fdeaf1eb0d6f1054858cad069179899f8"}},
		{"Fulcio's repository", []string{"2ca5cd27a89484c38e74868d2d3bde1e7852afe7e2771e6f89c7bd667dfcf8ef"}},
		{"Rekor's repository", []string{"b409400995a452b89ff59f6c388ae99356a4d48f25a1136e7e4efd37a97548d8"}},
		{"securesystemslib's repository", []string{
			"e566c0bbf5d1496eee916f71e09de302933b302b7aa7af02a2fc89005906ac66",
			"e7b31174d91bcc43fd2216c297d91d6d8a32d6c3066b96b68f6bf9543828f0e1"}},
		// Of the templates' principals: alice, authority, bob, carol, data, deployer, dora,
		// evaluator, registrar, scanner, security, trainer.
		{"the tests of policies, which Pedigree makes up", []string{
			"5fa0116bd7e257fc0e0dc9a23b93d0e5edc5fede514396e6592bf17cc4bdf42b",
			"efcc6a96e0f72358651cf38c5cf721f3e5e27a16994455221e0703d364d614e9",
			"7c2b31f6424bd62b4f882400050068459ca4e79283d6d28771f4397d4f3191c7",
			"34ab9b24020347afe726358808d60c19cd2f33a26883e1eca78df4ef76b1c20c",
			"4aa93ee9edc81a475b9f510a523d3badd1c52d4be7afb903e5e7d65171f3c119",
			"3288304b30d832c27106010169aee79460933a04eb20d3fbbbcd004bce0dc763",
			"29f4196fa2fe12ade271a9f37026975ff5c44a4254964ec4b04fb4567544fe22",
			"d493b30d8a338fbdd71ac72fae2704fc2a5cfd1d0bc2584e0c23b8fd8d2a421c",
			"e8e048a831ebdebd43b6506ca19ebcbe9418743a3462a5cc1ea8e0a231b6744b",
			"201e8c0ceb5bb47356592e03744c753104a73bb1025da46f92f69a57ebd5fe9e",
			"65bbdaf8804d0b9db95df2c955e8bee17dab55509cc92be977b2f6b300b6e13c",
			"f4ebf6a199cde5984da7c78529fa21608e4933dcbd5dcca015888c766e1bf23a"}},
	} {
		for _, k := range p.keys {
			if key.Hex() == k {
				return p.where, true
			}
		}
	}
	return "", false
}
