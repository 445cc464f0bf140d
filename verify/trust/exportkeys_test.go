package trust

// Keys returns the keys that a trust file can have, by the list that they are in.
func Keys() map[string][]string {
	return map[string][]string{
		"the file": trustKeys, "metadata": metadataKeys, "sigstore": instanceKeys, "timestampAuthorities": authorityKeys,
		"spiffe": domainKeys, "keys": windowKeys, "tuf": sourceKeys,
	}
}
