package rehearse

import (
	"encoding/json"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// merge puts the values of over into base; maps merge, everything else replaces.
func merge(base, over map[string]any) {
	for k, v := range over {
		below, ok := base[k].(map[string]any)
		top, both := v.(map[string]any)
		if ok && both {
			merge(below, top)
		} else {
			base[k] = v
		}
	}
}

// put sets or removes the value at a place. All but the last part of the way must
// be there: a misspelt metric would be a new one that no rule looks at.
func put(tree any, path []any, value any, remove bool) bool {
	for i, part := range path {
		last := i == len(path)-1
		switch t := tree.(type) {
		case map[string]any:
			key, ok := part.(string)
			next, there := t[key]
			switch {
			case !ok || !there && (remove || !last):
				return false
			case last && remove:
				delete(t, key)
			case last:
				t[key] = value
			}
			tree = next
		case []any:
			n, ok := part.(int)
			if !ok || n >= len(t) || last && remove {
				return false
			}
			if last {
				t[n] = value
			}
			tree = t[n]
		default:
			return false
		}
	}
	return true
}

// decimals writes numbers as text where a type wants decimals, and a metric that
// is only a number as a metric: accuracy: 0.75 is what people write.
func decimals(typ string, b map[string]any) {
	switch typ {
	case predicate.TypeEvaluation:
		metrics(b["metrics"])
		each(b["slices"], func(slice map[string]any) {
			metrics(slice["gaps"])
			each(slice["groups"], func(group map[string]any) { metrics(group["metrics"]) })
		})
	case predicate.TypePreregistration:
		each(b["thresholds"], spell)
	}
}

func metrics(v any) {
	m, _ := v.(map[string]any)
	for name, metric := range m {
		switch metric := metric.(type) {
		case json.Number:
			m[name] = map[string]any{"value": metric.String()}
		case string:
			m[name] = map[string]any{"value": metric}
		case map[string]any:
			spell(metric)
			if interval, ok := metric["interval"].(map[string]any); ok {
				spell(interval)
			}
		}
	}
}

func each(v any, do func(map[string]any)) {
	m, _ := v.(map[string]any)
	for _, x := range m {
		if x, ok := x.(map[string]any); ok {
			do(x)
		}
	}
}

func spell(m map[string]any) {
	for _, key := range []string{"value", "low", "high", "level"} {
		if n, ok := m[key].(json.Number); ok {
			m[key] = n.String()
		}
	}
}
