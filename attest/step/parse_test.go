package step

import (
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	hex64  = "38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632"
	hex40  = "0123456789abcdef0123456789abcdef01234567"
	sha    = "@sha256:" + hex64
	commit = "@gitCommit:" + hex40
)

func TestParseInput(t *testing.T) {
	digest, err := attest.ParseDigest("sha256:" + hex64)
	if err != nil {
		t.Fatal(err)
	}
	at, err := attest.ParseDigest("gitCommit:" + hex40)
	if err != nil {
		t.Fatal(err)
	}
	ref := func(s string) attest.Reference {
		r, err := attest.ParseReference(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for s, want := range map[string]Input{
		"training-data=r.example/data:v3":                      {Role: "training-data", Ref: ref("r.example/data:v3")},
		"d=localhost:5000/data:v3,path=a,b=c":                  {Role: "d", Ref: ref("localhost:5000/data:v3"), Path: "a,b=c"},
		"d=ocidir://store:v3,path=data":                        {Role: "d", Ref: ref("ocidir://store:v3"), Path: "data"},
		"d=r.example/data" + sha:                               {Role: "d", Ref: ref("r.example/data" + sha)},
		"d=file:a,b.bin":                                       {Role: "d", Path: "a,b.bin"},
		"d=https://data.example/a" + sha:                       {Role: "d", URI: "https://data.example/a", Digest: digest},
		"d=s3://bucket/a,b@c" + sha + ",file=x,y":              {Role: "d", URI: "s3://bucket/a,b@c", Digest: digest, Path: "x,y"},
		"code=git+https://git.example/a@refs/heads/m" + commit: {Role: "code", URI: "git+https://git.example/a@refs/heads/m", Digest: at},
		"d=pkg:pypi/torch@2.1" + sha:                           {Role: "d", URI: "pkg:pypi/torch@2.1", Digest: digest},
	} {
		if got, err := ParseInput(s); err != nil || got != want {
			t.Errorf("%s\ngot  %+v (%v)\nwant %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]attest.Code{
		"":                                   attest.CodeUsage,
		"data":                               attest.CodeUsage,
		"d=":                                 attest.CodeUsage,
		"Data=file:x":                        attest.CodeUsage,
		"a b=file:x":                         attest.CodeUsage,
		"d=file:":                            attest.CodeUsage,
		"d=r.example/data":                   attest.CodeUsage, // a repository, no artifact
		"d=r.example/data:v,path=":           attest.CodeUsage,
		"d=r.example/data:v,file=x":          attest.CodeUsage,
		"d=r.example/data" + commit:          attest.CodeUsage,
		"d=data:v3":                          attest.CodeReference, // no host
		"d=https://data.example/a":           attest.CodeUnpinned,
		"d=https://data.example/a@sha256:12": attest.CodeDigestFormat,
		"d=https://data.example/a" + sha + ",file=":                   attest.CodeUsage,
		"d=https://data.example/a" + commit + ",file=x":               attest.CodeUsage,
		"d=https://me:pw@data.example/a" + sha:                        attest.CodeUsage,
		"d=https://data.example/a?X-Amz-Signature=" + sha:             attest.CodeUsage,
		"d=https://data.example/a?sig=s3cr3t" + sha:                   attest.CodeUsage,
		"d=https://data.example/a#x" + sha:                            attest.CodeUsage,
		"d=https://data.example/a\n" + sha:                            attest.CodeUsage,
		"d=https://data.example/" + strings.Repeat("a", maxURI) + sha: attest.CodeUsage,
	} {
		got, err := ParseInput(s)
		if attest.RefusalCode(err) != want {
			t.Errorf("%.100s: got %+v, %v, want %s", s, got, err, want)
		} else if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "pw@") {
			t.Errorf("%s: the message repeats the secret: %v", s, err)
		}
	}
}

func TestParseOutput(t *testing.T) {
	ref, err := attest.ParseReference("r.example/m:v1")
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]Output{
		"model=out,to=r.example/m:v1":              {Name: "model", Path: "out", To: ref},
		"model=out,to=r.example/m:v1,kind=dataset": {Name: "model", Path: "out", To: ref, Kind: "dataset"},
		"model=a,b,kind=dataset,to=r.example/m:v1": {Name: "model", Path: "a,b", To: ref, Kind: "dataset"},
	} {
		if got, err := ParseOutput(s); err != nil || got != want {
			t.Errorf("%s: got %+v (%v), want %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]attest.Code{
		"":                      attest.CodeUsage,
		"model":                 attest.CodeUsage,
		"model=out":             attest.CodeUsage,
		"model=,to=r.example/m": attest.CodeUsage,
		"1=out,to=r.example/m":  attest.CodeUsage,
		"model=out,to=":         attest.CodeUsage,
		"model=out,to=r.example/m,to=r.example/n":     attest.CodeUsage,
		"model=out,to=r.example/m,kind=a,kind=b":      attest.CodeUsage,
		"model=out,to=r.example/m" + sha:              attest.CodeUsage,
		"model=out,to=m":                              attest.CodeReference,
		"model=out,to=r.example/m:sha256-" + hex64:    attest.CodeReference,
		"model=out,to=r.example/m:standin-sha256-abc": attest.CodeReference,
	} {
		if got, err := ParseOutput(s); attest.RefusalCode(err) != want {
			t.Errorf("%s: got %+v, %v, want %s", s, got, err, want)
		}
	}
}

func TestParseParamAndAbout(t *testing.T) {
	if p, err := ParseParam("lr=a=b"); err != nil || p != (Param{"lr", "a=b"}) {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, s := range []string{"", "lr", "=1", "a b=1", "lr=\xff"} {
		if _, err := ParseParam(s); attest.RefusalCode(err) != attest.CodeUsage {
			t.Errorf("%q: got %v", s, err)
		}
	}
	if _, err := ParseParam("lr=" + strings.Repeat("1", maxValue+1)); attest.RefusalCode(err) != attest.CodeLimit {
		t.Errorf("long value: got %v", err)
	}
	if a, err := ParseAbout("r.example/m:v1,path=a,b"); err != nil || a.Ref.Tag != "v1" || a.Path != "a,b" {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := ParseAbout("r.example/m:v1,path="); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("got %v", err)
	}
}

func TestSpecsThatContradictThemselves(t *testing.T) {
	s := newShop(t)
	about := &About{Ref: s.ref("m"), PredicateType: typeTestResult, Predicate: "p.json"}
	for _, c := range []struct {
		name string
		edit func(*Spec)
		want attest.Code
	}{
		{"no step", func(p *Spec) { p.Step = "" }, attest.CodeUsage},
		{"no command", func(p *Spec) { p.Command = nil }, attest.CodeUsage},
		{"not UTF-8", func(p *Spec) { p.Command = []string{"echo", "\xff"} }, attest.CodeUsage},
		{"long command", func(p *Spec) { p.Command = []string{strings.Repeat("a", maxCommand)} }, attest.CodeLimit},
		{"no product", func(p *Spec) { p.Outputs = nil }, attest.CodeUsage},
		{"both products", func(p *Spec) { p.About = about }, attest.CodeUsage},
		{"failure of outputs", func(p *Spec) { p.RecordFailure = true }, attest.CodeUsage},
		{"dirty what", func(p *Spec) { p.AllowDirty = true }, attest.CodeUsage},
		{"one name twice", func(p *Spec) { p.Outputs = append(p.Outputs, Output{Name: "model", Path: "o", To: s.ref("o")}) }, attest.CodeDup},
		{"one tag twice", func(p *Spec) { p.Outputs = append(p.Outputs, Output{Name: "card", Path: "o", To: s.ref("made")}) }, attest.CodeDup},
		{"one parameter twice", func(p *Spec) { p.Params = []Param{{"a", "1"}, {"a", "2"}} }, attest.CodeDup},
		{"builder", func(p *Spec) { p.Builder = "me" }, attest.CodeUsage},
		{"bad role", func(p *Spec) { p.Inputs = []Input{{Role: "A", Path: "x"}} }, attest.CodeUsage},
		{"empty input", func(p *Spec) { p.Inputs = []Input{{Role: "a"}} }, attest.CodeUsage},
		{"unpinned input", func(p *Spec) { p.Inputs = []Input{{Role: "a", URI: "https://x.example/"}} }, attest.CodeUnpinned},
		{"many inputs", func(p *Spec) { p.Inputs = make([]Input, maxInputs+1) }, attest.CodeLimit},
		{"a variable with its value", func(p *Spec) { p.Env = []string{"SEED=1"} }, attest.CodeUsage},
		{"a secret variable", func(p *Spec) { p.Env = []string{"HF_TOKEN"} }, attest.CodeUsage},
		{"parameters of a predicate", func(p *Spec) { p.Outputs, p.About, p.Params = nil, about, []Param{{"a", "1"}} }, attest.CodeUsage},
		{"provenance as a predicate", func(p *Spec) {
			a := *about
			a.PredicateType = "https://slsa.dev/provenance/v1"
			p.Outputs, p.About = nil, &a
		}, attest.CodeUsage},
	} {
		spec := s.spec(makeOutput)
		c.edit(&spec)
		t.Run(c.name, func(t *testing.T) { s.refuse(spec, c.want) })
	}
	s.run(s.spec(makeOutput))
}

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"HF_TOKEN": true, "PGPASSWORD": true, "AWS_SECRET_ACCESS_KEY": true, "api_keys": true, "GITHUB_TOKEN": true, "SESSION_COOKIE": true,
		"MYSQL_PWD": true, "DB_PASS": true, "SSHPASS": true, "REDISCLI_AUTH": true, "GITHUB_PAT": true, "API_TOKEN1": true, "TOKEN2": true, "VAULT_CREDS": true,
		"SLACK_WEBHOOK_URL": true, "AZURE_SAS": true, "authorization": true,
		"TOKENIZERS_PARALLELISM": false, "CUDA_VISIBLE_DEVICES": false, "SEED": false, "KEYBOARD": false, "USA": false, "PATH": false, "AUTHOR": false,
	} {
		if got := secretName(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOriginURI(t *testing.T) {
	for remote, want := range map[string]string{
		"https://git.example/acme/credit.git":            "git+https://git.example/acme/credit",
		"https://me:s3cr3t@GIT.example:443/acme/credit/": "git+https://git.example/acme/credit",
		"https://x-access-token:s3cr3t@git.example/a/b":  "git+https://git.example/a/b",
		"https://git.example:8443/acme/credit":           "git+https://git.example:8443/acme/credit",
		"http://git.example/a":                           "git+http://git.example/a",
		"git@git.example:acme/credit.git":                "git+ssh://git.example/acme/credit",
		"git.example:/acme/credit.git":                   "git+ssh://git.example/acme/credit",
		"ssh://git@git.example:22/acme/credit.git":       "git+ssh://git.example/acme/credit",
		"git://git.example/a.git":                        "git://git.example/a",
		"":                                               "",
		"/srv/git/credit.git":                            "",
		"../credit":                                      "",
		"./a:b":                                          "",
		"C:/repos/credit":                                "",
		"file:///srv/git/credit.git":                     "",
		"https://git.example/a?token=s3cr3t":             "",
		"https://git.example/a#b":                        "",
		"https://git.example/a/../b":                     "",
		"https://git.example/a%2fb":                      "",
		"https://git.example/a//b":                       "",
		"https://git.example":                            "",
		"ext::sh -c whatever":                            "",
		"https://git.example/a b":                        "",
	} {
		if got := originURI(remote); got != want {
			t.Errorf("%q: got %q, want %q", remote, got, want)
		}
	}
	for ref, want := range map[string]string{
		"refs/heads/main": "git+https://h.example/a@refs/heads/main",
		"refs/heads/a#b":  "git+https://h.example/a",
		"":                "git+https://h.example/a",
	} {
		if got := withRef("git+https://h.example/a", ref); got != want {
			t.Errorf("%q: got %q, want %q", ref, got, want)
		}
	}
	if got := withRef("", "refs/heads/main"); got != "" {
		t.Errorf("a branch of nothing: %q", got)
	}
}
