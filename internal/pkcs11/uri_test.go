package pkcs11_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/pkcs11"
)

func refused(t *testing.T, err error, want attest.Code) {
	t.Helper()
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]pkcs11.URI{
		"pkcs11:object=trainer": {Object: "trainer"},
		"pkcs11:id=%01%ff":      {ID: []byte{1, 0xff}},
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=SoftHSM;serial=1a;model=v2;object=a%3Bb;type=private;slot-id=7?module-path=/usr/lib/m.so&pin-source=file:/run/pin": {
			Token: "The Software PKCS#11 Softtoken", Manufacturer: "SoftHSM", Serial: "1a", Model: "v2", Object: "a;b", Slot: 7, HasSlot: true, Module: "/usr/lib/m.so", PINSource: "/run/pin"},
		"pkcs11:object=a?pin-source=file:///run/pin": {Object: "a", PINSource: "/run/pin"},
		"pkcs11:object=a?pin-source=/run/pin":        {Object: "a", PINSource: "/run/pin"},
		"pkcs11:object=a+b;slot-id=0":                {Object: "a+b", HasSlot: true},
	} {
		got, err := pkcs11.Parse(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "object=a", "PKCS11:object=a", "pkcs11:", "pkcs11:token=a", "pkcs11:object", "pkcs11:object=", "pkcs11:=a", "pkcs11:object=a;", "pkcs11:object=a;;id=%01",
		"pkcs11:object=a;object=b", "pkcs11:object=%zz", "pkcs11:object=%00", "pkcs11:object=a%0ab", "pkcs11:object=%ff", "pkcs11:object=a;type=public", "pkcs11:object=a;color=red",
		"pkcs11:object=a;slot-id=-1", "pkcs11:object=a;slot-id=01", "pkcs11:object=a;slot-id=99999999999",
		"pkcs11:object=a?module-path=m.so", "pkcs11:object=a?module-path=../m.so", "pkcs11:object=a?module-name=m", "pkcs11:object=a?pin-value=1234", "pkcs11:object=a?pin-source=%7Cecho%201234",
		"pkcs11:object=a?pin-source=pin", "pkcs11:object=a?pin-source=file:pin", "pkcs11:object=a?pin-source=http://h/pin", "pkcs11:object=a?color=red", "pkcs11:object=a?object=b",
		"pkcs11:object=" + strings.Repeat("a", 9000),
	} {
		_, err := pkcs11.Parse(text)
		refused(t, err, attest.CodeKey)
	}
}

// A refusal goes into logs; a PIN must not.
func TestRefusalsKeepThePIN(t *testing.T) {
	_, err := pkcs11.Parse("pkcs11:object=a?pin-value=secret77")
	refused(t, err, attest.CodeKey)
	if strings.Contains(err.Error(), "secret77") {
		t.Errorf("%v", err)
	}
	_, err = pkcs11.Open("pkcs11:object=a?pin-value=secret77&color=red", pkcs11.Options{})
	refused(t, err, attest.CodeKey)
	if strings.Contains(err.Error(), "secret77") {
		t.Errorf("%v", err)
	}
}

func TestOpenWithoutSupport(t *testing.T) {
	if pkcs11.Built {
		t.Skip("this program has PKCS #11")
	}
	_, err := pkcs11.Open("pkcs11:object=a?module-path=/usr/lib/m.so", pkcs11.Options{})
	refused(t, err, attest.CodeKey)
	if !strings.Contains(err.Error(), "without PKCS #11") {
		t.Errorf("%v", err)
	}
}
