package secret

import (
	"fmt"
)

// engine runs all rules over a text: one automaton tells where a rule may
// apply, the rule looks at the window there.
type engine struct {
	words   *automaton
	lengths []int      // of the words
	actions [][]action // by word
	lexed   map[string]*Rule
	named   named // rules over names and values
	names   *vocabulary
	base64  [256]bool
}

// action is what to do where a word stands.
type action struct {
	rule *Rule // match its pattern
	do   func(*search, int, int)
}

// lexers are the names by which rules ask for what is written by hand.
func lexers() []string {
	return []string{"password", "token", "authorization", "url", "pem", "kubernetes", "crypt", "command"}
}

// hit is a secret at a place.
type hit struct {
	rule       *Rule
	start, end int // in the file
	secret     string
	evidence   string
	verdict    verdict
	depth      int // how often it was decoded
}

func newEngine(rules []*Rule) (*engine, error) {
	e := &engine{lexed: map[string]*Rule{}, names: newVocabulary(), base64: base64Table()}
	b := builder{index: map[string]int{}}
	for _, r := range rules {
		switch {
		case r.lexer != "":
			if e.lexed[r.lexer] != nil {
				return nil, fmt.Errorf("rules %s and %s: two rules for the lexer %q", e.lexed[r.lexer].ID, r.ID, r.lexer)
			}
			e.lexed[r.lexer] = r
		case len(r.names) > 0:
			e.named.add(r)
			b.add((*search).pair, r.keywords...)
		default:
			for _, k := range r.keywords {
				b.word(k, action{rule: r})
			}
		}
	}
	e.addLexers(&b)
	e.named.build()
	e.words, e.lengths, e.actions = build(b.words), make([]int, len(b.words)), b.actions
	for i, w := range b.words {
		e.lengths[i] = len(w)
	}
	return e, nil
}

// addLexers says which words call which lexer.
func (e *engine) addLexers(b *builder) {
	if e.lexed["password"] != nil || e.lexed["token"] != nil {
		b.add((*search).pair, "pass", "pwd", "psk", "rootpw", "secret", "token", "key", "credential", `"auth"`, "_auth", "비밀번호", "암호")
	}
	if e.lexed["authorization"] != nil {
		b.add((*search).authorization, "authorization", "bearer ")
	}
	if e.lexed["url"] != nil {
		b.add((*search).url, "://")
	}
	if e.lexed["pem"] != nil {
		b.add((*search).pem, "-----begin")
	}
	if e.lexed["kubernetes"] != nil {
		b.add((*search).kubernetes, "kind: secret", `kind: "secret`, "kind: 'secret")
	}
	if e.lexed["crypt"] != nil {
		b.add((*search).crypt, "$1$", "$5$", "$6$", "$2a$", "$2b$", "$2y$", "$y$", "$gy$", "$md5", "$apr1$", "$argon2")
	}
	if e.lexed["command"] != nil {
		for word, c := range commands() {
			b.add(func(s *search, start, end int) { s.command(start, end, c) }, word)
		}
		for word, n := range calls() {
			b.add(func(s *search, start, end int) { s.call(start, end, n) }, word)
		}
	}
	b.add((*search).escaped, "%2f", "%3a", "%2b", "%3d", "%7c", "%21", "%40", "%24")
	b.add((*search).concat, `" + "`, `' + '`, `" . "`, `' . '`)
}

// builder collects words and what they call for.
type builder struct {
	words   []string
	actions [][]action
	index   map[string]int
}

func (b *builder) word(w string, a action) {
	i, ok := b.index[w]
	if !ok {
		i = len(b.words)
		b.index[w] = i
		b.words, b.actions = append(b.words, w), append(b.actions, nil)
	}
	b.actions[i] = append(b.actions[i], a)
}

func (b *builder) add(do func(*search, int, int), words ...string) {
	for _, w := range words {
		b.word(w, action{do: do})
	}
}
