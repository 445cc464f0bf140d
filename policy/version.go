package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A version is a dotted version number, as numbers: 2.10 is above 2.9.
type version []int

// versionPattern has at most eight numbers of at most nine digits: enough for
// dates and builds, and each fits an int everywhere. Suffixes such as -rc1 are
// refused: whether they come before or after is a convention, and conventions
// differ.
var versionPattern = regexp.MustCompile(`^v?(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){0,7}$`)

func parseVersion(s string) (version, error) {
	if !versionPattern.MatchString(s) {
		return nil, fmt.Errorf("%.60q is no version number like 2.10.1", s)
	}
	var v version
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "v"), ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err // unreachable: nine digits
		}
		v = append(v, n)
	}
	return v, nil
}

// compare orders versions; missing numbers are zero, so 2 and 2.0 are equal.
func (v version) compare(w version) int {
	for len(v) < len(w) {
		v = append(slices.Clip(v), 0)
	}
	for len(w) < len(v) {
		w = append(slices.Clip(w), 0)
	}
	return slices.Compare(v, w)
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}
