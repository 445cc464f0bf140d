package cosign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// An instance is a Sigstore on loopback: the program of test/e2e, which is a module of
// its own because the servers and cosign have no common graph of modules.
type instance struct {
	TrustedRoot   string   `json:"trustedRoot"`
	SigningConfig string   `json:"signingConfig"`
	Rekor         string   `json:"rekor"`
	Timestamps    []string `json:"timestamps"`
	Chains        []string `json:"chains"`
	Mint          string   `json:"mint"`
	Workloads     string   `json:"workloads"`
	People        string   `json:"people"`
}

// built builds a program of another module once, and returns where it is.
func built(t *testing.T, dir, pkg, name string) string {
	t.Helper()
	out := filepath.Join(programs, name)
	if _, err := os.Stat(out); err == nil {
		return out
	}
	if b, err := exec.Command("go", "build", "-C", dir, "-o", out, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return out
}

// programs is a folder for the time of the tests.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pedigree-cosign-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// startInstance runs a stack until the test ends.
func startInstance(t *testing.T, dir string) instance {
	t.Helper()
	cmd := exec.Command(built(t, "../e2e", "./cmd/sigstore-stack", "sigstore-stack"), "--dir", dir)
	cmd.Dir = "../e2e" // where it builds Rekor
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // it ends with its standard input
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the stack ended with %v: %s", err, errs.Bytes())
		}
	})
	var i instance
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &i)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.Bytes())
	}
	return i
}

// token mints a token of an issuer, "workloads" or "people".
func (i instance) token(t *testing.T, issuer string, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(i.Mint+issuer, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	token, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", r.Status, token, err)
	}
	return string(token)
}

func (i instance) person(t *testing.T, email string) string {
	return i.token(t, "people", map[string]any{"sub": email, "email": email, "email_verified": true})
}
