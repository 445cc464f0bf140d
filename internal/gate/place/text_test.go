package place

import (
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestImagesAreReadAsTheKubeletReadsThem(t *testing.T) {
	d := digest.String()
	for _, tt := range []struct{ text, want string }{
		{"credit", "docker.io/library/credit:latest"},
		{"acme/credit:1", "docker.io/acme/credit:1"},
		{"docker.io/credit", "docker.io/library/credit:latest"},
		{"index.docker.io/acme/credit", "docker.io/acme/credit:latest"},
		{"registry.example/credit", "registry.example/credit:latest"},
		{"registry.example:5000/a/b/credit:1.2_x", "registry.example:5000/a/b/credit:1.2_x"},
		{"localhost/credit:1", "localhost/credit:1"},
		{"localhost:5000/credit:1", "localhost:5000/credit:1"},
		{"[fd00::1]:5000/credit:1", "[fd00::1]:5000/credit:1"},
		{"credit@" + d, "docker.io/library/credit@" + d},
		{"registry.example/credit:7@" + d, "registry.example/credit:7@" + d},
		// What looks like a registry and is none is a folder on Docker Hub.
		{"registry/credit:1", "docker.io/registry/credit:1"},
	} {
		ref, problem := read(tt.text, kubelet)
		if problem != "" || ref.String() != tt.want {
			t.Errorf("%s: %s %s, want %s", tt.text, ref, problem, tt.want)
		}
		named, err := reference.ParseNormalizedNamed(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := reference.TagNameOnly(named).String(); got != tt.want {
			t.Errorf("%s: the runtimes read %s, and the table says %s", tt.text, got, tt.want)
		}
	}
}

// Docker Hub has one name here, whoever reads.
func TestDockerHubHasOneName(t *testing.T) {
	for text, want := range map[string]string{
		"docker.io/credit:1": "docker.io/library/credit:1", "index.docker.io/acme/credit:1": "docker.io/acme/credit:1",
		"registry.example/credit:1": "registry.example/credit:1",
	} {
		if ref, problem := read(text, stranger); problem != "" || ref.String() != want {
			t.Errorf("%s: %s %s, want %s", text, ref, problem, want)
		}
	}
}

func TestTextsThatAreNoImages(t *testing.T) {
	obj := func(image any) map[string]any {
		return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": image}}}}
	}
	for _, tt := range []struct {
		image any
		why   string
	}{
		{"Credit", "lower"},
		{"acme/Credit:1", "lower"},
		{"Registry.example/credit:1", "no reference"}, // a second spelling of a host
		{" credit:1", "spaces"},
		{"credit:1\n", "spaces"},
		{" ", "spaces"},
		{"credit:", "no reference"},
		{":1", "no reference"},
		{"credit:1:2", "no reference"},
		{"credit@sha256:12", "no reference"},
		{"credit@sha512:" + strings.Repeat("a", 128), "no reference"},
		{"credit@gitCommit:" + strings.Repeat("a", 40), "no reference"},
		{strings.Repeat("a", 64), "no reference"}, // an image's ID
		{"registry.example/" + strings.Repeat("a", 5000), "too long"},
		{"oci://registry.example/credit:1", "without a scheme"},
		{"docker://registry.example/credit:1", "without a scheme"},
		{"$(IMAGE)", "put together later"},
		{"registry.example/{{.Name}}:1", "put together later"},
		{"registry.example/credit:${TAG}", "put together later"},
		{"registry.example/cre\u200bdit:1", "no reference"},
		{"registry.exаmple/credit:1", "no reference"}, // a Cyrillic а
		{"https://registry.example/credit", "without a scheme"},
		{"registry.example/a/../credit:1", "no reference"},
		{"registry.example//credit:1", "no reference"},
		{"user:secret@registry.example/credit", "no reference"},
		{5.0, "a number"},
		{true, "true or false"},
		{[]any{"credit"}, "a list"},
		{map[string]any{"name": "credit"}, "an object"},
	} {
		found, known, err := table(t).Find(obj(tt.image), gvk("", "v1", "Pod"), Options{})
		if err != nil || !known || len(found) != 1 {
			t.Fatalf("%v: %v, %v", tt.image, found, err)
		}
		f := found[0]
		if !strings.Contains(f.Problem, tt.why) || f.URI != "" || !f.Reference.Repository.IsZero() {
			t.Errorf("%v: problem %q, want %q", tt.image, f.Problem, tt.why)
		}
		checkFound(t, obj(tt.image), found)
	}
}

func TestModelURIs(t *testing.T) {
	d := digest.String()
	for _, tt := range []struct{ text, want string }{
		{"oci://registry.example/credit:1", "registry.example/credit:1"},
		{"oci://registry.example/credit:1@" + d, "registry.example/credit:1@" + d},
		{"oci://acme/credit", "docker.io/acme/credit:latest"},
		{"docker://registry.example/credit:1", "registry.example/credit:1"},
		{"ocidir:///models/credit:1", "ocidir:///models/credit:1"},
		{"s3://acme/credit", "URI"},
		{"hf://acme/credit", "URI"},
		{"pvc://claim/credit", "URI"},
		{"https://models.example/credit.tar.gz?x=1", "URI"},
		{"weird-scheme://x", "URI"},
		{"OCI://registry.example/credit:1", "!"},
		{"S3://acme/credit", "!"},
		{"oci://", "!"},
		{"oci://oci://registry.example/credit:1", "!"},
		{"oci:registry.example/credit:1", "!"},
		{"/mnt/models", "!"},
		{"credit", "!"},
		{"oci://{{.Name}}", "!"},
		{"ocidir:///models", "!"},
		// No prefix of these says where they lead.
		{"s3://acme/../evil", "!"},
		{"s3://acme/./x", "!"},
		{"s3://acme/%2e%2e/evil", "!"},
		{"s3://acme/$(X)", "!"},
		{"https://models.example@evil.example/m", "!"},
		{`s3://acme/..\evil`, "!"},
		{"s3://acme/a b", "!"},
		{"s3://acme/\x1b[2J", "!"},
	} {
		w := newWalk(Options{})
		w.storage(node{tt.text, "spec.x", "/spec/x"})
		if len(w.found) != 1 {
			t.Fatalf("%s: %v", tt.text, w.found)
		}
		f := w.found[0]
		got := f.Reference.String()
		if f.Problem != "" {
			got = "!"
		}
		if f.URI != "" {
			got = "URI"
		}
		if got != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.text, got, f.Problem, tt.want)
		}
	}
}

func TestScan(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"fast", ""},
		{"https://api.example/v1", ""},
		{"postgres://db/x", ""},
		{"--model=oci://registry.example/credit:1", "oci://registry.example/credit:1"},
		{"oras pull 'oci://registry.example/credit:1' && run", "oci://registry.example/credit:1"},
		{`{"model":"oci://registry.example/credit:1","n":2}`, "oci://registry.example/credit:1"},
		{"oci://registry.example/a:1,oci://registry.example/b:1", "oci://registry.example/a:1 (stays) oci://registry.example/b:1 (stays)"},
		{"--model-oci://registry.example/credit:1", "oci://registry.example/credit:1"},
		{"git+oci://registry.example/credit:1", "oci://registry.example/credit:1"},
		{"OCI://registry.example/credit:1", "OCI://registry.example/credit:1 !"},
		{"foci://registry.example/credit:1", ""},
		{"oci://$(REG)/credit:1 x", "oci://$(REG)/credit:1 !"},
		{"oci://{{ .Reg }}/credit:1 x", "oci://{{ .Reg }}/credit:1 !"},
		{"oci://$(REG", "oci://$(REG !"},
		{"oci://credit", "oci://credit !"},                                   // what reads this is not known to mean Docker Hub
		{"oci://registry.example/credit", "oci://registry.example/credit !"}, // nor latest
		{"a=s3://acme/m?x=oci://registry.example/credit:1", "s3://acme/m?x= ! oci://registry.example/credit:1 (stays)"},
		{"--stores s3a://x/y", "s3a://x/y !"},
		{"oci://", "oci:// !"},
		{"oci://a.b/c:1oci://a.b/d:1", "oci://a.b/c:1oci://a.b/d:1 !"},
		{"://", ""},
		{"oci://registry.example/credit@gitCommit:" + strings.Repeat("a", 40), "oci://registry.example/credit@gitCommit:" + strings.Repeat("a", 40) + " !"},
	} {
		w := newWalk(Options{})
		w.scan(node{tt.text, "x", "/x"})
		var got []string
		for _, f := range w.found {
			s := f.Text
			if f.Problem != "" {
				s += " !"
			} else if f.Pointer == "" {
				s += " (stays)"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
		checkFound(t, map[string]any{"x": tt.text}, w.found)
	}
}

func TestPinned(t *testing.T) {
	other := attest.SHA256([]byte("another"))
	for _, tt := range []struct{ text, want string }{
		{"credit", "credit@"},
		{"acme/credit:1", "acme/credit@"},
		{"registry.example:5000/credit", "registry.example:5000/credit@"},
		{"registry.example:5000/credit:1", "registry.example:5000/credit@"},
		{"index.docker.io/acme/credit:1", "index.docker.io/acme/credit@"},
		{"registry.example/credit:1@" + other.String(), "registry.example/credit@"},
		{"oci://registry.example/credit:1", "oci://registry.example/credit@"},
		{"ocidir:///m/credit:1", "ocidir:///m/credit@"},
	} {
		f := whole(node{value: tt.text, pointer: "/x"}, tt.text, kubelet)
		if got := f.Pinned(digest); got != tt.want+digest.String() {
			t.Errorf("%s: %s (%s)", tt.text, got, f.Problem)
		}
	}
	f := part(node{pointer: "/x"}, "--model=", "oci://registry.example/credit:1", " --fast", stranger)
	if got, want := f.Pinned(digest), "--model=oci://registry.example/credit@"+digest.String()+" --fast"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("a", 40))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Pinned(commit); got != "" {
		t.Errorf("pinned to a commit: %q", got)
	}
}
