package attest

import "bytes"

const (
	// ArtifactTypeStandIn marks a stand-in.
	ArtifactTypeStandIn = "application/vnd.pedigree.standin.v1"
	// AnnotationStandIn says what a stand-in stands for.
	AnnotationStandIn = "io.github.pedigree-ml.artifact"
)

// emptyDigest is the digest of "{}", the OCI empty descriptor's content.
const emptyDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// StandIn returns the manifest that stands for an artifact which is no manifest
// in a registry: a commit, a data set in object storage, a key, a payload.
// Evidence about the artifact is attached to it. The bytes depend on the digest
// alone, so everybody who needs a place for evidence about d makes the same one.
// docs/format/standin.md has the exact bytes and a test vector. The zero Digest
// names nothing, and nothing stands for it: the result is nil.
func StandIn(d Digest) []byte {
	if d.IsZero() {
		return nil
	}
	const empty = `{"mediaType":"` + MediaTypeEmpty + `","digest":"` + emptyDigest + `","size":2}`
	return []byte(`{"schemaVersion":2,"mediaType":"` + MediaTypeManifest + `","artifactType":"` + ArtifactTypeStandIn +
		`","config":` + empty + `,"layers":[` + empty + `],"annotations":{"` + AnnotationStandIn + `":"` + d.String() + `"}}`)
}

// StandInTag returns the tag under which the stand-in of d is kept.
func StandInTag(d Digest) string { return "standin-" + d.Algorithm() + "-" + d.Hex() }

// standsFor returns what a stand-in stands for, and the zero Digest for every
// other manifest. A manifest that has a stand-in's type or annotation without
// being, byte for byte, the stand-in of what it names is refused: two of them
// would be two places for evidence about one thing.
func (m *Manifest) standsFor(manifest []byte) (Digest, error) {
	name, named := m.Annotations[AnnotationStandIn]
	if !named && m.ArtifactType != ArtifactTypeStandIn {
		return Digest{}, nil
	}
	d, err := ParseDigest(name)
	if err != nil {
		return Digest{}, &Refusal{Code: CodeRegManifest, About: m.Digest.String(), Why: "claims to be a stand-in for something without a digest", Err: err}
	}
	if !bytes.Equal(StandIn(d), manifest) {
		return Digest{}, &Refusal{Code: CodeRegManifest, About: d.String(), Why: "claims to be the stand-in, but has other bytes"}
	}
	return d, nil
}
