package strictjson

import "unicode/utf8"

func (p *parser) str() (string, error) {
	p.i++
	start, plain := p.i, true
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			raw := p.b[start:p.i]
			p.i++
			if !utf8.Valid(raw) {
				return "", p.syntax("invalid UTF-8 in a string that ends")
			}
			if plain {
				return string(raw), nil
			}
			return p.unescape(raw)
		case c == '\\':
			plain = false
			p.i += 2
		case c < ' ':
			return "", p.syntax("control character in a string")
		default:
			p.i++
		}
	}
	return "", p.syntax("unexpected end of a string")
}

func (p *parser) unescape(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		c := raw[i+1] // str never ends on a lone backslash: it would have taken the quote for escaped
		i += 2
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n := codePoint(raw[i:])
			if n == 0 {
				return "", p.syntax("malformed or unpaired \\u escape in a string that ends")
			}
			out = utf8.AppendRune(out, r)
			i += n
		default:
			return "", p.syntax("unknown escape in a string that ends")
		}
	}
	return string(out), nil
}

// codePoint reads the digits after \u, and the second half of a surrogate pair;
// it returns how many bytes it took, 0 if they don't make one character.
func codePoint(b []byte) (rune, int) {
	hi, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if hi < 0xD800 || hi > 0xDFFF {
		return hi, 4
	}
	if hi > 0xDBFF || len(b) < 10 || b[4] != '\\' || b[5] != 'u' {
		return 0, 0
	}
	lo, ok := hex4(b[6:])
	if !ok || lo < 0xDC00 || lo > 0xDFFF {
		return 0, 0
	}
	return (hi-0xD800)<<10 + (lo - 0xDC00) + 0x10000, 10
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 + rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 + rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 + rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
