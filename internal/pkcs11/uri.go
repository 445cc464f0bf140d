package pkcs11

import (
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxURI bounds a URI: labels have 32 bytes, ids some dozen, a path up to 4 KiB.
const maxURI = 8 << 10

// A URI names one key on one token (RFC 7512). What is "" or nil may be anything.
type URI struct {
	Token, Manufacturer, Serial, Model string // of the token

	Slot    uint // its slot; only if HasSlot
	HasSlot bool

	Object string // the label of the key
	ID     []byte // the id of the key

	Module    string // the path of the module; "" if the URI names none
	PINSource string // the path of a file that holds the PIN; "" if the URI names none
}

// Parse reads a PKCS #11 URI that names a private key: at least by label or id. An
// attribute that is not known is refused, as the RFC demands, because it might be what
// tells two keys apart; so is one that occurs twice.
//
// A PIN in the URI itself is refused: command lines are seen by everybody on the
// machine. So is a module by name, which only p11-kit could resolve. All refusals are
// E_KEY, and never repeat the URI, which may have a PIN.
func Parse(text string) (URI, error) {
	refuse := func(about, why, next string) (URI, error) {
		return URI{}, &attest.Refusal{Code: attest.CodeKey, About: about, Why: why, Next: next}
	}
	const example = "for instance pkcs11:token=TOKEN;object=KEY?module-path=/usr/lib/MODULE.so"
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	switch {
	case !ok:
		return refuse("", "not a PKCS #11 URI", example)
	case len(text) > maxURI:
		return refuse("pkcs11:", "a URI longer than 8 KiB", "")
	}
	path, query, _ := strings.Cut(rest, "?")
	var u URI
	seen := map[string]bool{}
	each := func(attributes, separator string, take func(name, value string) string) error {
		if attributes == "" {
			return nil
		}
		for a := range strings.SplitSeq(attributes, separator) {
			name, escaped, ok := strings.Cut(a, "=")
			if !ok || name == "" {
				_, err := refuse("pkcs11:", "an attribute without a value", example)
				return err
			}
			if seen[name] {
				_, err := refuse("pkcs11:"+name, "occurs twice", "")
				return err
			}
			seen[name] = true
			value, err := url.PathUnescape(escaped)
			if err != nil || value == "" {
				_, err := refuse("pkcs11:"+name, "an empty or wrongly escaped value", "")
				return err
			}
			why := take(name, value)
			if why == "" && name != "id" && !text1(value) {
				why = "has characters that no name has"
			}
			if why != "" {
				_, err := refuse("pkcs11:"+name, why, example)
				return err
			}
		}
		return nil
	}
	if err := each(path, ";", u.takePath); err != nil {
		return URI{}, err
	}
	if err := each(query, "&", u.takeQuery); err != nil {
		return URI{}, err
	}
	if u.Object == "" && u.ID == nil {
		return refuse("pkcs11:", "the URI names no key", example)
	}
	return u, nil
}

// text1 reports whether a value is text on one line.
func text1(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// takePath takes an attribute of the path, and says what is wrong with it.
func (u *URI) takePath(name, value string) string {
	switch name {
	case "token":
		u.Token = value
	case "manufacturer":
		u.Manufacturer = value
	case "serial":
		u.Serial = value
	case "model":
		u.Model = value
	case "slot-id":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != value {
			return "not a number"
		}
		u.Slot, u.HasSlot = uint(n), true
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "type":
		if value != "private" {
			return "only private keys sign"
		}
	default:
		return "an attribute that is not known"
	}
	return ""
}

// takeQuery takes an attribute of the query, and says what is wrong with it.
func (u *URI) takeQuery(name, value string) string {
	switch name {
	case "module-path":
		if !filepath.IsAbs(value) {
			return "a module is named by its absolute path"
		}
		u.Module = value
	case "pin-source":
		// RFC 7512 also lets it be a command, which would run here.
		file := strings.TrimPrefix(value, "file:")
		file = strings.TrimPrefix(file, "//")
		if !filepath.IsAbs(file) {
			return "the source of a PIN is a file, by its absolute path"
		}
		u.PINSource = file
	case "pin-value":
		return "a PIN on the command line is seen by everybody on this machine: set PEDIGREE_PIN, or use pin-source"
	case "module-name":
		return "a module is named by its path: module-path"
	default:
		return "an attribute that is not known"
	}
	return ""
}
