//go:build pkcs11

package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/pedigree-ml/pedigree/attest"
)

// Built reports whether this program can open keys in hardware modules.
const Built = true

const (
	// maxPIN bounds a file with a PIN; tokens take at most 255 bytes.
	maxPIN = 4 << 10

	// maxFound is how many objects are looked at that fit a URI: more than one is
	// refused anyway, and listing them says which.
	maxFound = 16

	// patience is how long the end of a signature is waited for that nobody wants any
	// more: longer than a module computes, shorter than a person does.
	patience = 2 * time.Second
)

// A session is one login at a token.
type session struct {
	mu     sync.Mutex // a session does one thing at a time
	module *pkcs11.Ctx
	handle pkcs11.SessionHandle
	label  string // of the token
	pin    string // for keys that want it each time
	logged bool
	closed bool
}

// Open loads the module, logs in at the token and finds the key that a URI names. The
// module, the token and the key must each be exactly one. Every refusal is E_KEY.
func Open(text string, o Options) (*Signer, error) {
	u, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Module == "" {
		u.Module = o.Module
	}
	switch {
	case u.Module == "":
		return nil, refuse("pkcs11:", "no module is named", "add ?module-path=/usr/lib/MODULE.so, or set PKCS11_MODULE_PATH", nil)
	case !filepath.IsAbs(u.Module):
		return nil, refuse(u.Module, "a module is named by its absolute path", "", nil)
	}
	if _, err := os.Stat(u.Module); err != nil {
		return nil, refuse(u.Module, "there is no such module", "install it, or name another: module-path", err)
	}
	module := pkcs11.New(u.Module)
	if module == nil {
		return nil, refuse(u.Module, "not a PKCS #11 module for this system", "name another: module-path", nil)
	}
	// Another key of this process may have initialized the module before; then it is
	// not for this one to end it.
	ours := true
	if err := module.Initialize(); is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		ours = false
	} else if err != nil {
		return nil, refuse(u.Module, "the module does not start", "look at the module's own configuration", err)
	}
	end := func() {
		if ours {
			_ = module.Finalize() // the process is done with it either way
		}
		module.Destroy()
	}
	s, err := open(module, u, o)
	if err != nil {
		end()
		return nil, err
	}
	k, err := s.find(u)
	if err == nil {
		var signer *attest.KeySigner
		if signer, err = attest.NewKeySigner(k); err == nil {
			return &Signer{key: signer, close: func() { s.close(end) }}, nil
		}
		err = about(s.label, err)
	}
	s.close(end)
	return nil, err
}

func refuse(about, why, next string, err error) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodeKey, About: about, Why: why, Next: next, Err: err}
}

func about(what string, err error) error {
	var r *attest.Refusal
	if !errors.As(err, &r) || r.About != "" {
		return err
	}
	with := *r
	with.About = what
	return &with
}

// is reports whether err is that of a module with this number.
func is(err error, number uint) bool {
	var e pkcs11.Error
	return errors.As(err, &e) && uint(e) == number
}

// open finds the token and logs in.
func open(module *pkcs11.Ctx, u URI, o Options) (*session, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return nil, refuse(u.Module, "the module lists no tokens", "", err)
	}
	var fit []uint
	var all []string
	var info pkcs11.TokenInfo
	for _, slot := range slots {
		t, err := module.GetTokenInfo(slot)
		if err != nil {
			continue // pulled out meanwhile, or broken: then it is not the one
		}
		if t.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			all = append(all, padded(t.Label))
		}
		if u.fits(slot, t) {
			fit, info = append(fit, slot), t
		}
	}
	switch {
	case len(fit) == 0:
		return nil, refuse("pkcs11:"+u.Token, "the module has no such token", "it has: "+strings.Join(all, ", "), nil)
	case len(fit) > 1:
		return nil, refuse("pkcs11:"+u.Token, fmt.Sprintf("%d tokens fit", len(fit)), "say which: serial=, slot-id=", nil)
	}
	s := &session{module: module, label: padded(info.Label)}
	if s.handle, err = module.OpenSession(fit[0], pkcs11.CKF_SERIAL_SESSION); err != nil {
		return nil, refuse(s.label, "the token opens no session", "", err)
	}
	if info.Flags&pkcs11.CKF_LOGIN_REQUIRED != 0 {
		if err := s.login(u, o, info.Flags); err != nil {
			s.close(func() {}) // Open ends the module
			return nil, err
		}
	}
	return s, nil
}

// padded returns a field that is filled up with blanks.
func padded(s string) string { return strings.TrimRight(s, " \x00") }

func (u URI) fits(slot uint, t pkcs11.TokenInfo) bool {
	same := func(want, got string) bool { return want == "" || want == padded(got) }
	return (!u.HasSlot || u.Slot == slot) && same(u.Token, t.Label) && same(u.Manufacturer, t.ManufacturerID) &&
		same(u.Serial, t.SerialNumber) && same(u.Model, t.Model) && t.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0
}

// login logs in as the token's user. A PIN is tried once: after some wrong ones the
// token locks itself for good.
func (s *session) login(u URI, o Options, flags uint) error {
	pin, err := s.askPIN(u, o, flags)
	if err != nil {
		return err
	}
	s.pin = string(pin)
	clear(pin)
	err = s.module.Login(s.handle, pkcs11.CKU_USER, s.pin)
	switch {
	case err == nil:
		s.logged = true
		return nil
	case is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		// By another key of this process; a login counts for all sessions with a token.
		return nil
	case is(err, pkcs11.CKR_PIN_LOCKED):
		return refuse(s.label, "the token is locked, after too many wrong PINs", "unlock it with the security officer's PIN", err)
	case is(err, pkcs11.CKR_PIN_INCORRECT), is(err, pkcs11.CKR_PIN_LEN_RANGE), is(err, pkcs11.CKR_PIN_INVALID):
		return refuse(s.label, "wrong PIN", "if PEDIGREE_PIN is set, it was taken; a token locks itself after a few wrong ones", err)
	}
	return refuse(s.label, "the token lets nobody in", "", err)
}

func (s *session) askPIN(u URI, o Options, flags uint) ([]byte, error) {
	switch {
	case flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0:
		return nil, nil // it is typed on the token's own keypad
	case u.PINSource != "":
		return pinFile(u.PINSource)
	case o.PIN == nil:
		return nil, refuse(s.label, "the token wants a PIN, and there is none", "set PEDIGREE_PIN, or add pin-source=/FILE to the URI", nil)
	}
	pin, err := o.PIN(s.label)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(pin), nil
}

// pinFile reads a PIN: the file's text without the line feed at its end.
func pinFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, refuse(name, "the PIN cannot be read", "", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPIN+1))
	switch {
	case err != nil:
		return nil, refuse(name, "the PIN cannot be read", "", err)
	case len(b) > maxPIN:
		return nil, refuse(name, "a file of more than 4 KiB holds no PIN", "", nil)
	}
	return bytes.TrimRight(b, "\r\n"), nil
}

// close ends the session, and then the module. What that says about it changes nothing.
// A module that is still signing, for somebody who gave up waiting, is ended once it
// has: its memory is in use. That may be never, so it is not waited for longer than patience.
func (s *session) close(end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return
		}
		if s.logged {
			_ = s.module.Logout(s.handle)
		}
		_ = s.module.CloseSession(s.handle)
		s.pin, s.closed = "", true
		end()
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}
