package place

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds returns the kinds that can name something, sorted. Of a kind that the
// configuration gives without versions, the version is "".
func (t *Table) Kinds() []schema.GroupVersionKind {
	if t == nil {
		return nil
	}
	var out []schema.GroupVersionKind
	for gvk, k := range t.kinds {
		if len(k.at) > 0 {
			out = append(out, gvk)
		}
	}
	for gk, list := range t.custom {
		for _, c := range list {
			versions := c.versions
			if len(versions) == 0 {
				versions = []string{""}
			}
			for _, v := range versions {
				if gvk := gk.WithVersion(v); !slices.Contains(out, gvk) {
					out = append(out, gvk)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b schema.GroupVersionKind) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Version, b.Version))
	})
	return out
}
