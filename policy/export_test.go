package policy

// LanguageKeys returns the keys of each part of the language, as the strict
// reader knows them.
func LanguageKeys() map[string][]string {
	out := map[string][]string{}
	for _, p := range languageParts() {
		out[p.name] = p.keys
	}
	return out
}
