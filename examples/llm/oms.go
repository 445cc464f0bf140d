package llm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// A signedFile is one entry of what OpenSSF Model Signing calls resources.
type signedFile struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
}

// omsPredicate is the predicate of an OMS signature, version 1.0.
type omsPredicate struct {
	Resources     []signedFile `json:"resources"`
	Serialization struct {
		Method        string   `json:"method"`
		HashType      string   `json:"hash_type"`
		AllowSymlinks bool     `json:"allow_symlinks"`
		IgnorePaths   []string `json:"ignore_paths"`
	} `json:"serialization"`
}

// omsStatement describes the files of a directory as the model_signing tool does:
// each by its SHA-256, in the order of their names, and the SHA-256 of all these
// hashes one after the other as the subject. That root names no artifact of a
// registry; what ties the signature to one are the names and digests of the files.
func omsStatement(dir, name string) ([]byte, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var p omsPredicate
	p.Serialization.Method, p.Serialization.HashType, p.Serialization.IgnorePaths = "files", "sha256", []string{}
	root := sha256.New()
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return nil, errors.New(filepath.Join(dir, e.Name()) + " is not a regular file")
		}
		data, err := steps.ReadFile(filepath.Join(dir, e.Name()), maxFile)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		root.Write(sum[:])
		p.Resources = append(p.Resources, signedFile{e.Name(), "sha256", attest.SHA256(data).Hex()})
	}
	if len(p.Resources) == 0 {
		return nil, errors.New(dir + " holds no files")
	}
	subject, err := attest.NewDigest("sha256", hex.EncodeToString(root.Sum(nil)))
	if err != nil {
		return nil, err
	}
	return attest.NewStatement(attest.Subject{Name: name, Digest: subject}, predicate.TypeOMS, p)
}

// signOMS writes a Sigstore bundle with the signature of a directory's files.
func signOMS(s steps.Surroundings, dir, name, keyFile, out string) error {
	if err := errors.Join(steps.CheckOutside(out, dir), steps.CheckAbsent(out)); err != nil {
		return err
	}
	pem, err := steps.ReadFile(keyFile, maxKey)
	if err != nil {
		return err
	}
	key, err := attest.LoadKey(pem, func() ([]byte, error) { return nil, errors.New("this example signs with keys that have no passphrase") })
	if err != nil {
		return err
	}
	payload, err := omsStatement(dir, name)
	if err != nil {
		return err
	}
	bundle, err := attest.Sign(context.Background(), payload, key)
	if err != nil {
		return err
	}
	return steps.WriteFile(out, bundle)
}

// maxKey bounds a key file; those of pedigree have under 1 KiB.
const maxKey = 64 << 10
