// Command sigstore-kms-test is a plugin of the tests, made with Sigstore's own helper
// for plugins. The resource says which key it signs with, and how it misbehaves:
// FOLDER/KEY.pem?MODE.
package main

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

func main() {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		handler.WriteErrorResponse(os.Stdout, err)
		os.Exit(1)
	}
	file, mode, _ := strings.Cut(args.InitOptions.KeyResourceID, "?")
	seen(filepath.Dir(file), args)
	asked := args.MethodName
	switch {
	case mode == "hang" || mode == "hang-signing" && asked == common.SignMessageMethodName:
		// A child holds on to the output as well.
		c := exec.Command("sleep", "600")
		c.Stdout = os.Stdout
		if c.Start() == nil {
			os.WriteFile(filepath.Join(filepath.Dir(file), "child"), []byte(strconv.Itoa(c.Process.Pid)), 0o600)
		}
		c.Wait()
	case mode == "endless":
		for {
			fmt.Println(strings.Repeat("no end ", 1000))
		}
	case mode == "talk":
		fmt.Fprint(os.Stderr, strings.Repeat("talk ", 100_000))
	case mode == "garbage" || mode == "garbage-signing" && asked == common.SignMessageMethodName:
		fmt.Print("<html>not found</html>")
		return
	case mode == "silent":
		return
	case mode == "null":
		fmt.Print("null")
		return
	case mode == "other-answer":
		fmt.Print(`{"verifySignature":{}}`)
		return
	case mode == "empty-signature" && asked == common.SignMessageMethodName:
		fmt.Print(`{"signMessage":{"signature":""}}`)
		return
	case mode == "refuse":
		handler.WriteErrorResponse(os.Stdout, errors.New("access denied"))
		os.Exit(3)
	case mode == "crash":
		panic("crash")
	case mode == "deaf" && asked == common.PublicKeyMethodName:
		// Ends without having read its input, with a status that means nothing.
		defer os.Exit(7)
	case mode == "lie" && asked == common.PublicKeyMethodName, mode == "other-key" && asked == common.SignMessageMethodName:
		file = filepath.Join(filepath.Dir(file), "other.pem")
	case mode == "two-keys" && asked == common.PublicKeyMethodName:
		b, _ := publicPEM(file)
		out, _ := json.Marshal(&common.PluginResp{PublicKey: &common.PublicKeyResp{PublicKeyPEM: append(b, b...)}})
		os.Stdout.Write(out)
		return
	}
	key, err := load(file, args.InitOptions.HashFunc)
	if err != nil {
		handler.WriteErrorResponse(os.Stdout, err)
		os.Exit(1)
	}
	handler.Dispatch(os.Stdout, os.Stdin, args, key)
}

// seen writes down what the plugin was asked, and of what it knows of its surroundings.
func seen(dir string, args *common.PluginArgs) {
	f, err := os.OpenFile(filepath.Join(dir, "asked"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %s hash=%d deadline=%t token=%s password=%s\n", os.Args[1], args.MethodName, args.InitOptions.HashFunc, args.InitOptions.CtxDeadline != nil, os.Getenv("KMS_TOKEN"), os.Getenv("PEDIGREE_PASSWORD"))
}

func publicPEM(file string) ([]byte, error) {
	k, err := load(file, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	pub, err := k.PublicKey()
	if err != nil {
		return nil, err
	}
	return cryptoutils.MarshalPublicKeyToPEM(pub)
}

// held is the key of a file as the protocol's helper wants it.
type held struct{ signature.SignerVerifier }

func (held) CreateKey(context.Context, string) (crypto.PublicKey, error) {
	return nil, errors.New("no keys are made here")
}
func (held) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.New("not in the protocol")
}
func (held) SupportedAlgorithms() []string { return []string{elliptic.P256().Params().Name} }
func (held) DefaultAlgorithm() string      { return elliptic.P256().Params().Name }

func load(file string, hash crypto.Hash) (held, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return held{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return held{}, errors.New("no PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return held{}, err
	}
	sv, err := signature.LoadSignerVerifier(k, hash)
	return held{sv}, err
}
