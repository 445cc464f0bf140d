package cli_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/spiffeagent"
	"github.com/pedigree-ml/pedigree/internal/stampserver"
)

// workload makes the SPIFFE domain prod.acme.example and starts its agent, which gives
// everybody the SVID of the trainer, at $SOCKET, and a timestamp authority at $TSA. The
// same SVID is in the folder svid, one that is over in the folder over, one with an RSA
// key in the folder rsa, and those of alice, registrar, security and mallory in folders
// of their names; trust.yaml trusts domain and authority, and stranger.yaml a
// domain of another name.
func workload(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: workload")
	}
	now := time.Now().UTC().Truncate(time.Second)
	d, err := authority.NewDomain("prod.acme.example", now.AddDate(0, -1, 0))
	ts.Check(err)
	stranger, err := authority.NewDomain("stranger.example", now.AddDate(0, -1, 0))
	ts.Check(err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)

	// A socket's path must be short.
	dir, err := os.MkdirTemp("", "s")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	agent, err := spiffeagent.Start(dir)
	ts.Check(err)
	ts.Defer(agent.Stop)
	ts.Setenv("SOCKET", "unix://"+agent.Socket)
	type issued struct {
		path string
		key  crypto.Signer
		at   time.Time
	}
	svids := map[string]issued{"svid": {"trainer", nil, now.Add(-time.Minute)}, "over": {"trainer", nil, now.Add(-2 * time.Hour)}, "rsa": {"trainer", rsaKey, now.Add(-time.Minute)}}
	for _, name := range []string{"alice", "registrar", "security", "mallory"} {
		svids[name] = issued{name, nil, now.Add(-time.Minute)}
	}
	for name, svid := range svids {
		s, err := spiffeagent.Issue(d, svid.path, svid.key, svid.at)
		ts.Check(err)
		ts.Check(os.MkdirAll(ts.MkAbs(name), 0o755))
		ts.Check(s.Write(ts.MkAbs(name)))
		if name == "svid" {
			agent.Give(s)
		}
	}

	tsa, err := authority.NewTSA("https://tsa.example", now.AddDate(0, -1, 0))
	ts.Check(err)
	server := httptest.NewServer(stampserver.New(tsa))
	ts.Defer(server.Close)
	ts.Setenv("TSA", server.URL+"/api/v1/timestamp")
	var chain bytes.Buffer
	for _, c := range append([]*authority.Cert{tsa.Signer}, tsa.Above...) {
		ts.Check(pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	write := func(name string, b []byte) { ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o644)) }
	write("tsa.pem", chain.Bytes())
	for file, of := range map[string]*authority.Domain{"trust.yaml": d, "stranger.yaml": stranger} {
		bundle, err := of.Bundle()
		ts.Check(err)
		write(of.Name+".json", bundle)
		from := now.AddDate(0, -1, 0).Format(time.RFC3339)
		write(file, fmt.Appendf(nil, `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: acme, version: 1, expires: 2099-01-01T00:00:00Z}
timestampAuthorities: [{name: tsa, chain: tsa.pem, from: %s}]
timestamps: 1
spiffe: [{domain: %s, bundle: %s.json, from: %s}]
`, from, of.Name, of.Name, from))
	}
}

// plugin puts a key service on the PATH: the key test://$WORK/service.pem, and for
// programs that misbehave, test://$WORK/service.pem?MODE.
func plugin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: plugin")
	}
	bin := ts.MkAbs("bin")
	c := exec.Command("go", "build", "-o", filepath.Join(bin, "sigstore-kms-test"), "../../attest/kms/testdata/plugin")
	if out, err := c.CombinedOutput(); err != nil {
		ts.Fatalf("%v\n%s", err, out)
	}
	ts.Setenv("PATH", bin+string(os.PathListSeparator)+ts.Getenv("PATH"))
	for _, name := range []string{"service", "other"} {
		k, err := attest.GenerateKey(attest.P256)
		ts.Check(err)
		private, err := k.MarshalPEM(nil)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), private, 0o600))
		ts.Check(os.WriteFile(ts.MkAbs(name+".pub"), k.Public().PEM(), 0o644))
	}
}

// softHSM returns the module of SoftHSM; "" if that, or what makes tokens, is not here.
func softHSM() string {
	for _, m := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(m); err != nil {
			continue
		}
		for _, program := range []string{"softhsm2-util", "pkcs11-tool"} {
			if _, err := exec.LookPath(program); err != nil {
				return ""
			}
		}
		return m
	}
	return ""
}

// token makes a SoftHSM token acme with the PIN 567890 and a key trainer, and names its
// module in PKCS11_MODULE_PATH.
func token(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: token")
	}
	module := softHSM()
	ts.Check(os.MkdirAll(ts.MkAbs("tokens"), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs("softhsm2.conf"), []byte("directories.tokendir = "+ts.MkAbs("tokens")+"\nlog.level = ERROR\n"), 0o600))
	ts.Setenv("SOFTHSM2_CONF", ts.MkAbs("softhsm2.conf"))
	ts.Setenv("PKCS11_MODULE_PATH", module)
	ts.Check(ts.Exec("softhsm2-util", "--init-token", "--free", "--label", "acme", "--so-pin", "12345678", "--pin", "567890"))
	ts.Check(ts.Exec("pkcs11-tool", "--module", module, "--token-label", "acme", "--login", "--pin", "567890", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "trainer", "--id", "01"))
}
