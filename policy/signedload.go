package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/pedigree-ml/pedigree/attest"
)

// LoadSigned loads a policy that enough of the roots signed, and that is not
// older than one that was seen before.
//
// It is refused with attest.CodePolicySig if fewer distinct root keys than the
// threshold made a good signature, if the roots do not sign for policies of that
// name, or if it resolves to another digest than was signed; with
// attest.CodePolicyRollback if its version is below the roots' minVersion or the
// remembered mark "policy/NAME", or is the remembered one with other content. Nil
// roots have signed nothing. Whether the policy has expired is asked when
// something is judged, as of every policy.
//
// Signatures of other keys, damaged ones, and the key ids that envelopes carry
// neither help nor harm.
func LoadSigned(s *Signed, roots *Roots, remembered []Mark) (*Policy, error) {
	if roots == nil || roots.threshold < 1 {
		return nil, attest.Refuse(attest.CodePolicySig, "there are no root keys to have signed the policy")
	}
	// Before the policy is read: what nobody signed is not worth a look.
	if n := s.SignedBy(roots); n < roots.threshold {
		return nil, &attest.Refusal{Code: attest.CodePolicySig, About: s.digest.String(),
			Why:  fmt.Sprintf("%d of the %d root keys signed the policy, and %d must", n, len(roots.keys), roots.threshold),
			Next: "have further roots sign it: pedigree policy sign"}
	}
	p, err := s.LoadUnchecked()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(roots.policies, p.Name()) {
		return nil, &attest.Refusal{Code: attest.CodePolicySig, About: p.Name(),
			Why:  "these roots sign for " + strings.Join(roots.policies, ", "),
			Next: "name the roots of this policy; a policy keeps its name from version to version"}
	}
	if int64(p.Version()) < roots.minVersion {
		return nil, &attest.Refusal{Code: attest.CodePolicyRollback, About: p.Name(),
			Why:  fmt.Sprintf("version %d, and the roots ask for %d at least", p.Version(), roots.minVersion),
			Next: "get the newest version of the policy"}
	}
	if err := p.CheckRollback(remembered); err != nil {
		return nil, err
	}
	return p, nil
}

// LoadUnchecked loads the policy from what the envelope holds, whoever signed it:
// for those who show it, sign it, or know its digest from elsewhere. It is refused
// with attest.CodePolicySig if it resolves to another digest than the payload
// states, and with attest.CodePolicyParse if the payload holds files that the
// policy does not name; other errors are Load's.
func (s *Signed) LoadUnchecked() (*Policy, error) {
	used := map[string]bool{}
	p, err := Load(s.source, func(name string) ([]byte, error) {
		key, err := filePath(name)
		if err != nil {
			return nil, err
		}
		b, ok := s.files[key]
		if !ok {
			return nil, fmt.Errorf("the signed policy does not hold it: %w", fs.ErrNotExist)
		}
		used[key] = true
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	if len(used) != len(s.files) {
		return nil, malformedSigned(fmt.Sprintf("it holds %d files, of which the policy names %d", len(s.files), len(used)), nil)
	}
	if p.Digest() != s.digest {
		return nil, &attest.Refusal{Code: attest.CodePolicySig, About: p.Digest().String(),
			Why:  "the policy was signed as " + s.digest.String() + ", and this version of the program does not read it so",
			Next: "compare with pedigree policy check, and have it signed again"}
	}
	return p, nil
}

// SignedBy returns how many distinct keys of the roots made a good signature.
func (s *Signed) SignedBy(roots *Roots) int {
	message := dsse.PAE(PayloadTypeSigned, s.payload)
	n := 0
	for _, k := range roots.keys { // distinct: LoadRoots refuses a key twice
		if s.signedBy(k, message) {
			n++
		}
	}
	return n
}

// signedBy reports whether any of the signatures is the key's. All are tried: a
// key id is signed by nobody, and must not make a good signature fail.
func (s *Signed) signedBy(k attest.PublicKey, message []byte) bool {
	return slices.ContainsFunc(s.signatures, func(x policySignature) bool { return validSignature(k, message, x.sig) })
}

// validSignature checks one signature with one key. ECDSA signatures must be in
// strict DER and Ed25519's S below the group's order, as crypto/ecdsa and
// crypto/ed25519 have it. What malleability is left (ECDSA's -S) gives the same
// key another signature, and keys are what is counted.
func validSignature(k attest.PublicKey, message, sig []byte) bool {
	switch key := k.Crypto().(type) {
	case *ecdsa.PublicKey:
		// The hash belongs to the key; an envelope has no say in it.
		h := k.Hash().New()
		h.Write(message)
		return ecdsa.VerifyASN1(key, h.Sum(nil), sig)
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, sig)
	}
	return false
}

// Mark returns what a verifier remembers of the policy, so that an older one is
// not taken for it later.
func (p *Policy) Mark() Mark {
	return Mark{Name: "policy/" + p.Name(), Number: int64(p.Version()), Content: p.digest}
}

// CheckRollback refuses a policy with a version below the remembered one of its
// name, or with the remembered version and another digest
// (attest.CodePolicyRollback). Nothing remembered refuses nothing.
func (p *Policy) CheckRollback(remembered []Mark) error {
	own := p.Mark()
	for _, m := range remembered {
		switch {
		case m.Name != own.Name || m.Number < own.Number || m == own:
			continue
		case m.Number == own.Number:
			return &attest.Refusal{Code: attest.CodePolicyRollback, About: p.Name(),
				Why:  fmt.Sprintf("version %d was %s when it was first seen, and is %s now", own.Number, m.Content, own.Content),
				Next: "ask who publishes the policy; a changed policy needs a higher metadata.version"}
		}
		return &attest.Refusal{Code: attest.CodePolicyRollback, About: p.Name(),
			Why:  fmt.Sprintf("version %d, and version %d was seen before", own.Number, m.Number),
			Next: "get the newest version of the policy"}
	}
	return nil
}
