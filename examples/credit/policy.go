package credit

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
)

//go:embed policy.yaml
var embeddedPolicy string

// embeddedExpiry is when the policy ends as it is written in the file.
const embeddedExpiry = "expires: 2027-05-01T00:00:00Z"

// Policy returns the policy that the pipeline's quantised model is judged by,
// valid until expires. It names the keys of everybody involved as keys/NAME.pub.
func Policy(expires time.Time) ([]byte, error) {
	now := "expires: " + expires.UTC().Format(time.RFC3339)
	if strings.Count(embeddedPolicy, embeddedExpiry) != 1 {
		return nil, fmt.Errorf("policy.yaml does not have %q exactly once", embeddedExpiry)
	}
	return []byte(strings.Replace(embeddedPolicy, embeddedExpiry, now, 1)), nil
}
