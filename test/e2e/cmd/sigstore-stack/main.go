// Sigstore-stack runs a private Sigstore on loopback until its standard input ends or
// it is told to stop, for tests in other modules and for trying things by hand:
//
//	go run ./cmd/sigstore-stack --dir DIR
//
// It writes trusted_root.json and signing_config.json into DIR and prints one line of
// JSON: where everything is. A token is minted by posting claims to mint/workloads or
// mint/people: whoever can reach loopback is whoever they say, so that this is for
// nothing but tests.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"syscall"

	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

// A Description is the line that the program prints.
type Description struct {
	stack.Endpoints
	stack.Files
	Tiles     string `json:"tiles"`     // where the transparency log is read
	Mint      string `json:"mint"`      // where tokens are minted
	Workloads string `json:"workloads"` // the issuer of the build system
	People    string `json:"people"`    // the issuer that people log in to
}

func main() {
	stack.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "sigstore-stack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("sigstore-stack", flag.ContinueOnError)
	dir := flags.String("dir", ".", "where to write the files that configure clients")
	authorities := flags.Int("authorities", 1, "how many timestamp authorities")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := stack.Start(ctx, stack.Options{Authorities: *authorities})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	files, err := s.Write(*dir)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /mint/workloads", mint(s.Workloads))
	mux.Handle("POST /mint/people", mint(s.People))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	d := Description{Endpoints: s.Endpoints(), Files: files, Tiles: s.Tiles(), Mint: srv.URL + "/mint/", Workloads: s.Workloads.URL, People: s.People.URL}
	if err := json.NewEncoder(stdout).Encode(d); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		io.Copy(io.Discard, stdin)
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}

// mint answers the claims that are posted with a token that has them.
func mint(issuer *stack.Issuer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims map[string]any
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&claims); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		token, err := issuer.Token(claims)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, token)
	})
}
