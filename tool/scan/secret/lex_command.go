package secret

import (
	"bytes"
	"strings"
)

// command says where a program's command line holds a password.
type command struct {
	flags    string // options whose next word, or rest, is the password, with blanks between
	attached string // an option that the password follows at once: -pVALUE
	pair     string // options whose value is user and password, joined by one of joint
	joint    string
	last     bool // the last word is the password
	piped    bool // what is echoed into it is
	at       int  // the word of that number is, from 1
	needs    string
}

// commands are the programs that take passwords on their command line.
func commands() map[string]command {
	mysql := command{attached: "-p"}
	registry := command{flags: "-p --password", needs: "login", piped: true}
	mssql := command{flags: "-P", attached: "-P"}
	ldap := command{flags: "-w", attached: "-w"}
	samba := command{pair: "-U --user", joint: "%", flags: "-p"}
	zip := command{flags: "-P", attached: "-P"}
	store := command{flags: "-storepass -keypass -srcstorepass -deststorepass -srckeypass -destkeypass"}
	return map[string]command{
		"curl ": {pair: "-u --user -U --proxy-user", joint: ":"}, "mysql ": mysql, "mysqldump ": mysql, "mysqladmin ": mysql, "mysqlimport ": mysql, "mariadb ": mysql, "mysqlsh ": mysql,
		"sshpass ": {flags: "-p", attached: "-p"}, "redis-cli ": {flags: "-a --pass"}, "docker login": registry, "podman login": registry, "helm registry login": registry, "oc login": registry,
		"az login": registry, "skopeo login": registry, "nerdctl login": registry, "buildah login": registry, "crane auth login": registry, "oras login": registry,
		"sqlcmd ": mssql, "bcp ": mssql, "osql ": mssql, "isql ": mssql, "ldapsearch ": ldap, "ldapmodify ": ldap, "ldapadd ": ldap, "ldapwhoami ": ldap, "ldappasswd ": {flags: "-w -s"},
		"smbclient ": samba, "rpcclient ": samba, "smbmap ": samba, "winexe ": samba, "crackmapexec ": samba, "evil-winrm ": {flags: "-p"}, "psexec ": {flags: "-p"}, "mongo ": {flags: "-p"}, "mongosh ": {flags: "-p"},
		"mongodump ": {flags: "-p"}, "mongorestore ": {flags: "-p"}, "unzip ": zip, "zip ": zip, "7z ": {attached: "-p"}, "htpasswd -": {last: true, needs: "b"}, "chpasswd": {piped: true}, "passwd --stdin": {piped: true}, "sudo -s": {piped: true},
		"password-stdin": {piped: true}, "keytool ": store, "jarsigner ": store, "net use ": {at: 5, needs: `\\`}, "net user ": {at: 4, needs: "/add"}, "openssl ": {flags: "-pass -passin -passout", needs: "pass:"},
		"cmdkey ": {attached: "/pass:"}, "xfreerdp ": {attached: "/p:"}, "rdesktop ": {flags: "-p"}, "rabbitmqctl add_user ": {at: 4}, "rabbitmqctl change_password ": {at: 4}, "lftp ": {pair: "-u", joint: ","}, "ipmitool ": {flags: "-P"},
		"snmpwalk ": {flags: "-A -X"}, "ansible-playbook ": {}, "influx ": {flags: "-password"}, "cqlsh ": {flags: "-p"}, "clickhouse-client ": {flags: "--password"}, "svn ": {flags: "--password"}, "gpg ": {flags: "--passphrase"},
	}
}

// lexCommand reads the passwords on the command line on which text[start:end]
// names the program, and tells how far it has read.
func lexCommand(text []byte, start, end int, c command) (found []pair, to int) {
	line := lineOf(text, start)
	if c.piped {
		if p, ok := echoed(text, line.start, start); ok {
			found = append(found, p)
		}
	}
	words := shellWords(text, start, line.end)
	to = end
	if len(words) > 0 {
		to = max(to, words[len(words)-1].end)
	}
	if len(words) == 0 || c.needs != "" && !bytes.Contains(text[start:line.end], []byte(c.needs)) {
		return found, to
	}
	if c.at > 0 && len(words) >= c.at {
		return append(found, words[c.at-1]), to
	}
	if c.last {
		return append(found, words[len(words)-1]), to
	}
	for i, w := range words[1:] {
		if p, ok := c.option(w, append(words[i+2:len(words):len(words)], pair{})[0]); ok {
			found = append(found, p)
		}
	}
	return found, to
}

// option is the password of an option, which may be the next word.
func (c command) option(w, next pair) (pair, bool) {
	for flag := range strings.FieldsSeq(c.flags) {
		if w.value == flag && next.value != "" {
			return next.after("pass:"), true
		}
		if rest, ok := strings.CutPrefix(w.value, flag+"="); ok && strings.HasPrefix(flag, "--") {
			return w.cut(len(w.value) - len(rest)), true
		}
	}
	for flag := range strings.FieldsSeq(c.pair) {
		both := next
		if rest, ok := strings.CutPrefix(w.value, flag); ok && rest != "" { // -uuser:password, --user=user:password
			both = w.cut(len(w.value) - len(strings.TrimPrefix(rest, "=")))
		} else if w.value != flag {
			continue
		}
		if user, password, ok := strings.Cut(both.value, c.joint); ok && user != "" && password != "" {
			return both.cut(len(user) + len(c.joint)), true
		}
	}
	if rest, ok := strings.CutPrefix(w.value, c.attached); ok && c.attached != "" && rest != "" {
		return w.cut(len(c.attached)), true
	}
	return pair{}, false
}

func (p pair) after(prefix string) pair {
	if strings.HasPrefix(p.value, prefix) {
		return p.cut(len(prefix))
	}
	return p
}

// cut is p without its first n bytes.
func (p pair) cut(n int) pair {
	p.value = p.value[n:]
	p.start = min(p.start+n, p.end)
	return p
}

// lineOf is the line of at, and those that a backslash joins to it.
func lineOf(text []byte, at int) span {
	const farthest = 2000
	s := span{start: lineStart(text, at, farthest), end: at}
	for s.end < len(text) && s.end-at < farthest {
		if text[s.end] == '\n' && (s.end == 0 || text[s.end-1] != '\\') {
			break
		}
		s.end++
	}
	return s
}

// shellWords are the words of a command, up to what ends it.
func shellWords(text []byte, start, end int) (words []pair) {
	const most = 100
	for i := start; i < end && len(words) < most; {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\\' || c == '\n' || c == '\r' || c == ',':
			i++
		case c == '|' || c == ';' || c == '&' || c == '`':
			return words
		case c == '"' || c == '\'':
			n := bytes.IndexByte(text[i+1:end], c)
			if n < 0 { // the end of a literal that the command stands in
				i++
				continue
			}
			words = append(words, pair{start: i + 1, end: i + 1 + n, value: string(text[i+1 : i+1+n]), quoted: true})
			i += n + 2
		default:
			from := i
			for i < end && bytes.IndexByte([]byte(" \t\n\r|;`"), text[i]) < 0 {
				if (text[i] == '"' || text[i] == '\'') && (i+1 == end || bytes.IndexByte([]byte(" ,])\n"), text[i+1]) >= 0 || text[i-1] != '=') {
					break
				}
				i++
			}
			if i == from {
				i++
				continue
			}
			word := text[from:i]
			if eq := bytes.IndexByte(word, '='); eq > 0 && len(word) > eq+2 && (word[eq+1] == '"' || word[eq+1] == '\'') { // --flag="v"
				word = bytes.TrimRight(word, "\"'")
				word = append(append([]byte{}, word[:eq+1]...), word[eq+2:]...)
			}
			words = append(words, pair{start: from, end: i, value: string(word)})
		}
	}
	return words
}

// echoed is what the line before the pipe echoes: echo "user:v" | chpasswd, echo v | docker login --password-stdin.
func echoed(text []byte, start, end int) (pair, bool) {
	before := text[start:end]
	pipe := bytes.LastIndexByte(before, '|')
	here := bytes.Index(text[end:lineOf(text, end).end], []byte("<<<"))
	var words []pair
	switch {
	case here >= 0:
		words = shellWords(text, end+here+3, lineOf(text, end).end)
	case pipe > 0:
		from := max(bytes.LastIndex(before[:pipe], []byte("echo ")), bytes.LastIndex(before[:pipe], []byte("printf ")))
		if from < 0 {
			return pair{}, false
		}
		words = shellWords(text, start+from, start+pipe)
		words = words[min(1, len(words)):]
	}
	for len(words) > 1 && (strings.HasPrefix(words[0].value, "-") || strings.HasPrefix(words[0].value, "%")) {
		words = words[1:]
	}
	if len(words) == 0 {
		return pair{}, false
	}
	w := words[0]
	if user, password, ok := strings.Cut(w.value, ":"); ok && isName(user) && password != "" {
		return w.cut(len(user) + 1), true
	}
	return w, true
}

// calls are functions that take a password, and which of their arguments it is, from 0.
func calls() map[string]int {
	return map[string]int{
		"getconnection(": 2, "basicauth(": 1, "basic_auth(": 1, "networkcredential(": 1, "passwordcredentials(": 1, "passwordauthentication(": 1, ".login(": 1, "plainauth(": 2, "mysqli_connect(": 2, "mysqli(": 2, "new pdo(": 2,
		"auth=(": 1, "auth = (": 1, "ldap_bind(": 2, "ssh2_auth_password(": 2, "ftp_login(": 2, "simple_bind_s(": 1, "passwordtoken(": 1, "oci_connect(": 1, "ssh_auth_password(": 1, "httpdigestauth(": 1, "setcredentials(": 1,
		"withcredentials(": 1, "with_credentials(": 1, "basiccredentials(": 1, "credentials(": 1, "authtuple(": 1, "userpassword(": 1, "usernamepassword(": 1, "identified by": 0, "identified with": 0, "converttosecurestring": 0, "convertto-securestring": 0,
	}
}

// lexCall reads the literal that is argument number n of the call that ends at end.
func lexCall(text []byte, end, n int) (pair, bool) {
	c := cursor{text: text, at: end}
	if n == 0 && end > 0 && text[end-1] != '(' { // IDENTIFIED BY 'v', ConvertTo-SecureString 'v'
		c.skip(" \t", 8)
		for range 4 {
			if c.quote() != "" {
				break
			}
			for c.at < len(text) && (isNameByte(c.peek())) {
				c.at++
			}
			c.skip(" \t", 8)
		}
	}
	for i := 0; ; i++ {
		c.skip(" \t\r\n(", 60)
		c.prefix()
		q := c.quote()
		var p pair
		switch {
		case q != "" && i == n:
			return p, c.quotedValue(&p, q) && len(p.value) <= 200 && p.value != ""
		case q != "":
			if !c.literal(q) {
				return p, false
			}
		case i == n:
			return p, false
		default:
			for c.at < len(text) && (isNameByte(c.peek()) || c.peek() == '>' || c.peek() == ':') {
				c.at++
			}
		}
		c.skip(" \t\r\n", 60)
		if c.peek() != ',' {
			return p, false
		}
		c.at++
	}
}

// isCommandPassword: a program is given it where it expects one, so that little more is asked.
func isCommandPassword(v string) bool {
	return len(v) >= 6 && len(v) <= 200 && !meaningless(v) && !strings.HasPrefix(v, "-") && !strings.HasPrefix(v, "$") && !strings.ContainsAny(v, "()") && (passwordLike(v) || tokenLike(v) || isHash(v))
}
