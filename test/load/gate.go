package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A gateProcess is a running gate.
type gateProcess struct {
	cmd          *exec.Cmd
	url, metrics string
	authority    []byte // PEM; nil: plain HTTP
	client       *http.Client
	log          *os.File
}

// startGate starts a gate with a cold cache, over TLS if secure. more is YAML that is
// added to its configuration.
func (b *bench) startGate(secure bool, more string) (*gateProcess, error) {
	name := filepath.Join(b.dir, "gate"+strconv.Itoa(len(b.gates)))
	g := &gateProcess{client: &http.Client{Timeout: 5 * time.Second}}
	listen := ""
	if secure {
		var err error
		if g.authority, err = newCertificate(name); err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(g.authority)
		g.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
		listen = fmt.Sprintf(", certificate: %q, key: %q", name+".crt", name+".pem")
	}
	config, addresses := name+".yaml", name+".addresses"
	text := fmt.Sprintf(gateConfig, listen, b.registry, b.registry) + more
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	_ = os.Remove(addresses) // of the gate before
	var err error
	if g.log, err = os.Create(name + ".log"); err != nil {
		return nil, err
	}
	g.cmd = exec.Command(b.pedigree, "gate", "--config", config, "--address-file", addresses)
	g.cmd.Stderr, g.cmd.Stdout = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	b.gates = append(b.gates, g)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if g.listens(addresses) && g.ready() {
			return g, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("the gate did not get ready:\n%s", g.lastLines())
}

// newCertificate makes a certificate for this host in NAME.crt, with its key in
// NAME.pem, and returns it.
func newCertificate(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, errors.Join(
		os.WriteFile(name+".crt", certificate, 0o644),
		os.WriteFile(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// listens reports whether the gate has said where it listens.
func (g *gateProcess) listens(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	service, metrics, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	g.url, g.metrics = "http://"+service, "http://"+metrics
	if g.authority != nil {
		g.url = "https://" + service
	}
	return metrics != ""
}

func (g *gateProcess) ready() bool {
	r, err := g.client.Get(g.url + "/readyz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func (b *bench) stopGates() {
	for _, g := range b.gates {
		g.client.CloseIdleConnections()
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.log.Close()
	}
	b.gates = nil
}

func (g *gateProcess) lastLines() string {
	text, err := os.ReadFile(g.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// processorTime is what the gate has used of the processors so far, for itself and in
// the kernel, to a hundredth of a second.
func (g *gateProcess) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	if err != nil {
		return 0, errors.New("the gate is gone")
	}
	// The name of the program, in parentheses, may contain anything; the 14th and 15th
	// fields are the 12th and 13th behind it.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc: %q", text)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// use is what a process holds.
type use struct {
	resident, peak          int64 // KiB
	goroutines, descriptors int64
	looks                   int64 // verifications so far
}

func (g *gateProcess) use() (use, error) {
	var u use
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return u, errors.New("the gate is gone")
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.resident)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &u.peak)
	}
	r, err := g.client.Get(g.metrics + "/metrics")
	if err != nil {
		return u, err
	}
	defer r.Body.Close()
	for s := bufio.NewScanner(io.LimitReader(r.Body, 8<<20)); s.Scan(); {
		name, text, _ := strings.Cut(s.Text(), " ")
		value, _ := strconv.ParseFloat(text, 64)
		switch name {
		case "go_goroutines":
			u.goroutines = int64(value)
		case "process_open_fds":
			u.descriptors = int64(value)
		case "pedigree_gate_looks_total":
			u.looks = int64(value)
		}
	}
	return u, nil
}

const gateConfig = `apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: load}
listen: {address: "127.0.0.1:0", metrics: "127.0.0.1:0"%s}
registry: {repositories: ["%s/load/models"]}
policies: [{name: load, policy: policy.yaml}]
rules:
  - name: all
    namespaces: ["*"]
    pin: true
    artifacts:
      - {repositories: ["%s/load/models"], policy: load, context: prod}
      - {repositories: ["registry.example/serving/**"], accept: true, reason: "runtimes"}
`
