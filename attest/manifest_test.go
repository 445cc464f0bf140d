package attest

import (
	"fmt"
	"strings"
	"testing"
)

const aaaa = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func layer(annotations string) string {
	return `{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"` + aaaa + `","size":1` + annotations + `}`
}

func notes(filepath, title string) string {
	return `,"annotations":{"` + AnnotationFilepath + `":"` + filepath + `","` + AnnotationTitle + `":"` + title + `"}`
}

func modelManifest(layers ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + MediaTypeManifest + `","artifactType":"` + ArtifactTypeModel + `","config":` +
		`{"mediaType":"` + MediaTypeModelConfig + `","digest":"` + aaaa + `","size":3},"layers":[` + strings.Join(layers, ",") + `]}`
}

func TestParseManifest(t *testing.T) {
	m, err := ParseManifest([]byte(modelManifest(layer(notes("a/b.bin", "a/b.bin")), layer(`,"annotations":{"`+AnnotationFilepath+`":"c"}`))))
	accepted(t, err)
	if len(m.Files) != 2 || m.Files[0].Path != "a/b.bin" || m.Files[0].Size != 1 || m.Config.Size != 3 || !m.StandsFor.IsZero() {
		t.Errorf("read as %+v", m)
	}
	image := strings.Replace(modelManifest(layer("")), `"artifactType":"`+ArtifactTypeModel+`",`, `"subject":`+layer("")+`,"annotations":null,`, 1)
	m, err = ParseManifest([]byte(image))
	accepted(t, err)
	if len(m.Files) != 0 || len(m.Layers) != 1 || m.Subject == nil {
		t.Errorf("read as %+v", m)
	}
	_, err = ParseManifest([]byte(swap(t, image, MediaTypeManifest, mediaTypeDocker)))
	accepted(t, err)
	if IsIndex([]byte(image)) || IsIndex([]byte("junk")) || !IsIndex([]byte(`{"manifests":[]}`)) {
		t.Error("a manifest and an index are confused")
	}
}

func TestManifestRefusals(t *testing.T) {
	good := modelManifest(layer(notes("a", "a")))
	_, err := ParseManifest([]byte(good))
	accepted(t, err)
	many := make([]string, MaxFiles+1)
	for i := range many {
		many[i] = `{"mediaType":"x","digest":"` + aaaa + `","size":1,"annotations":{"` + AnnotationFilepath + `":"` + fmt.Sprint(i) + `"}}`
	}
	_, err = ParseManifest([]byte(modelManifest(many[1:]...)))
	accepted(t, err)
	for _, c := range []struct {
		name string
		in   string
		want Code
	}{
		{"STM-09 index and manifest", swap(t, good, `"layers"`, `"manifests":[],"layers"`), CodeRegManifest},
		{"STM-09 an index", `{"schemaVersion":2,"manifests":[]}`, CodeRegManifest},
		{"STM-09 an index's media type", swap(t, good, MediaTypeManifest, MediaTypeIndex), CodeRegManifest},
		{"STM-09 media type no string", swap(t, good, `"`+MediaTypeManifest+`"`, `1`), CodeRegManifest},
		{"STM-09 layers twice", swap(t, good, `"layers"`, `"layers":[],"layers"`), CodeDupKey},
		{"schema 1", swap(t, good, `"schemaVersion":2`, `"schemaVersion":1`), CodeRegManifest},
		{"schema a string", swap(t, good, `"schemaVersion":2`, `"schemaVersion":"2"`), CodeRegManifest},
		{"artifact type a number", swap(t, good, `"`+ArtifactTypeModel+`"`, `1`), CodeRegManifest},
		{"no config", swap(t, good, `"config"`, `"conf"`), CodeRegManifest},
		{"no layers", swap(t, good, `"layers"`, `"layer"`), CodeRegManifest},
		{"layers null", swap(t, good, "["+layer(notes("a", "a"))+"]", "null"), CodeRegManifest},
		{"size negative", swap(t, good, `"size":1`, `"size":-1`), CodeRegManifest},
		{"size minus zero", swap(t, good, `"size":1`, `"size":-0`), CodeRegManifest},
		{"size a string", swap(t, good, `"size":1`, `"size":"1"`), CodeRegManifest},
		{"size a fraction", swap(t, good, `"size":1`, `"size":1.0`), CodeRegManifest},
		{"size too large", swap(t, good, `"size":1`, `"size":9223372036854775808`), CodeRegManifest},
		{"no media type of a layer", modelManifest(`{"digest":"` + aaaa + `","size":1` + notes("a", "a") + `}`), CodeRegManifest},
		{"a commit for a layer", modelManifest(`{"mediaType":"x","digest":"gitCommit:` + strings.Repeat("a", 40) + `","size":1` + notes("a", "a") + `}`), CodeRegManifest},
		{"STM-04 sha512", modelManifest(strings.Replace(layer(notes("a", "a")), "sha256", "sha512", 1)), CodeDigestAlg},
		{"STM-05 truncated", modelManifest(strings.Replace(layer(notes("a", "a")), "aaaaaaaa", "", 1)), CodeDigestFormat},
		{"no path", modelManifest(layer("")), CodeRegManifest},
		{"no filepath", modelManifest(layer(`,"annotations":{"` + AnnotationTitle + `":"a"}`)), CodeRegManifest},
		{"two paths", modelManifest(layer(notes("a", "b"))), CodeRegManifest},
		{"two paths in an image", swap(t, modelManifest(layer(notes("a", "b"))), ArtifactTypeModel, "application/x"), CodeRegManifest},
		{"annotation a number", modelManifest(layer(`,"annotations":{"x":1}`)), CodeRegManifest},
		{"annotations an array", modelManifest(layer(`,"annotations":[]`)), CodeRegManifest},
		{"one path twice", modelManifest(layer(notes("a", "a")), layer(notes("a", "a"))), CodeDup},
		{"colliding paths", modelManifest(layer(notes("a", "a")), layer(notes("A", "A"))), CodePath},
		{"STM-21 escaping path", modelManifest(layer(notes("../a", "../a"))), CodePath},
		{"too many files", modelManifest(many...), CodeLimit},
		{"STM-25 too large", swap(t, good, `"schemaVersion"`, `"x":"`+strings.Repeat("a", MaxManifest)+`","schemaVersion"`), CodeLimit},
		{"not JSON", "x", CodeJSON},
		{"an array", "[]", CodeRegManifest},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ParseManifest([]byte(c.in))
			refused(t, err, c.want)
			if m != nil {
				t.Error("an error came with a manifest")
			}
		})
	}
}

func TestSTM21PathAliases(t *testing.T) {
	for _, good := range []string{
		"a", "a/b.bin", ".hidden", "a b/c", "größe.bin", "模型/重み.bin", "हिन्दी.txt", "model-00001-of-00002.safetensors", "com10", "comet", "nul-model/x", "...a",
		strings.Repeat("a/", maxPathParts-1) + "a",
	} {
		if err := CheckPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "/a", "a/", "a//b", "./a", "a/./b", "../a", "a/../b", "..", ".", `a\b`, `C:\a`, "a:b", "a\x00b", "a\nb", "a\x1b[31mb", "a\xffb",
		"a\u200bb", "a\u202eb", "\ufeffa", "a\u00adb", "a\ufe0fb", "a\u115fb", "a\u034fb", "a\U000e0041b", "a\u061cb",
		"gro\u0308sse", "\u212bngstrom", "\u1112\u1161\u11ab", // the same as größe, ångstrom, 한 in another spelling
		"a /b", " a", "a.", "a./b", "a ", "NUL", "nul.txt", "a/con", "Com1.bin", "LPT9", "com¹", "CONIN$", "nul .txt",
		strings.Repeat("a", maxPath+1), strings.Repeat("a/", maxPathParts) + "a",
	} {
		refused(t, CheckPath(bad), CodePath)
	}
}

func TestPathsSideBySide(t *testing.T) {
	if err := CheckPaths([]string{"a/b", "a/c", "ab", "a.b"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		paths []string
		want  Code
	}{
		{[]string{"a", "a"}, CodeDup},
		{[]string{"a", "A"}, CodePath},
		{[]string{"straße", "STRASSE"}, CodePath},
		{[]string{"\u017f", "s"}, CodePath}, // long s
		{[]string{"a", "a/b"}, CodePath},
		{[]string{"a/b", "a"}, CodePath},
		{[]string{"a/b", "A"}, CodePath},
		{[]string{"A", "a/b"}, CodePath},
		{[]string{"a/b", "A/c"}, CodePath},
		{[]string{"a/b/c", "a/B/d"}, CodePath},
		{[]string{"fine", "../not"}, CodePath},
	} {
		refused(t, CheckPaths(c.paths), c.want)
	}
}

// The bytes of a stand-in are the same for everybody, for ever: this vector is
// part of the format.
func TestStandIn(t *testing.T) {
	d, err := ParseDigest("sha256:" + strings.Repeat("0", 64))
	accepted(t, err)
	const want = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.pedigree.standin.v1",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},` +
		`"layers":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}],` +
		`"annotations":{"io.github.pedigree-ml.artifact":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}}`
	const wantDigest = "sha256:afd3f3e16a6619895c64622967c757019459c5eb902d2661353f9071939e363f"
	got := StandIn(d)
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := SHA256(got).String(); got != wantDigest {
		t.Errorf("digest is %s, want %s", got, wantDigest)
	}
	if got, want := StandInTag(d), "standin-sha256-"+strings.Repeat("0", 64); got != want {
		t.Errorf("tag is %s, want %s", got, want)
	}
	if SHA256([]byte("{}")).String() != emptyDigest {
		t.Error("the empty descriptor does not describe {}")
	}
	if StandIn(Digest{}) != nil {
		t.Error("something stands for nothing")
	}

	commit, err := ParseDigest("gitCommit:" + strings.Repeat("c", 40))
	accepted(t, err)
	for _, d := range []Digest{d, commit} {
		m, err := ParseManifest(StandIn(d))
		accepted(t, err)
		if m.StandsFor != d {
			t.Errorf("stands for %s, want %s", m.StandsFor, d)
		}
	}
	for name, in := range map[string]string{
		"white space":             want + "\n",
		"another order":           swap(t, swap(t, want, `"schemaVersion":2,`, ""), `.standin.v1",`, `.standin.v1","schemaVersion":2,`),
		"one more annotation":     swap(t, want, `"annotations":{`, `"annotations":{"x":"y",`),
		"another artifact type":   swap(t, want, ArtifactTypeStandIn, "application/x"),
		"annotation without type": swap(t, want, `"artifactType":"`+ArtifactTypeStandIn+`",`, ""),
		"nothing named":           swap(t, want, AnnotationStandIn, "other"),
		"empty name":              swap(t, want, d.String(), ""),
		"malformed name":          swap(t, want, d.String(), "sha256:00"),
	} {
		m, err := ParseManifest([]byte(in))
		if RefusalCode(err) != CodeRegManifest || m != nil {
			t.Errorf("%s: got %v, want %s", name, err, CodeRegManifest)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(modelManifest(layer(notes("a/b", "a/b")))))
	f.Add(StandIn(SHA256(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if m != nil || RefusalCode(err) == "" {
				t.Fatalf("a manifest with an error, or an error without a code: %v", err)
			}
			return
		}
		if m.Digest != SHA256(b) || IsIndex(b) {
			t.Fatal("the manifest has another digest than its bytes, or is an index")
		}
		paths := make([]string, len(m.Files))
		for i, f := range m.Files {
			paths[i] = f.Path
		}
		if err := CheckPaths(paths); err != nil {
			t.Fatalf("files that cannot lie side by side: %v", err)
		}
		if !m.StandsFor.IsZero() && string(StandIn(m.StandsFor)) != string(b) {
			t.Fatal("two stand-ins for one artifact")
		}
	})
}
