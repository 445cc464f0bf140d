package trust

import (
	"crypto/x509"
	"time"
)

// Validity returns from when until when, both included, a certificate says that it is
// valid; zero for bytes that are none. It verifies nothing.
func Validity(der []byte) (notBefore, notAfter time.Time) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return time.Time{}, time.Time{}
	}
	return c.NotBefore, c.NotAfter
}
