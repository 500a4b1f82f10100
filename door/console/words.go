package console

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/strict"
)

// What the pages say in a language, by the English of their templates. English
// itself has words for codes alone.
//
//go:embed words_*.yaml
var wordFiles embed.FS

// languages are those that the console speaks, the first where nothing is asked for.
func languages() []string { return []string{"en", "ko"} }

// words are the texts of each language. They are ours: a test finds a malformed file first.
var words = sync.OnceValue(func() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, lang := range languages() {
		name := "words_" + lang + ".yaml"
		text, err := wordFiles.ReadFile(name)
		var said map[string]string
		if err == nil {
			err = strict.Unmarshal(name, text, &said)
		}
		if err != nil {
			panic(err)
		}
		all[lang] = said
	}
	return all
})

// translate is an English text in a language, with args filled in as Sprintf does.
func translate(lang, text string, args ...any) string {
	if said, ok := words()[lang][text]; ok {
		text = said
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// translateHTML is translate for texts with parts that are HTML.
func translateHTML(lang, text string, args ...any) template.HTML {
	parts := make([]any, len(args))
	for i, a := range args {
		if html, ok := a.(template.HTML); ok {
			parts[i] = string(html)
		} else {
			parts[i] = template.HTMLEscapeString(fmt.Sprint(a))
		}
	}
	return template.HTML(fmt.Sprintf(template.HTMLEscapeString(translate(lang, text)), parts...))
}

// language is the reader's: the first that they accept and that we speak.
func language(r *http.Request) string {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		main, _, _ := strings.Cut(strings.ToLower(tag), "-")
		for _, l := range languages() {
			if main == l {
				return l
			}
		}
	}
	return languages()[0]
}
