package bypass

// pending names what is to refuse, or to show, and is not there yet. Its vectors are tried without it, and must go
// through: what would be refused anyhow needs no rule. It is empty when all is done.
var pending []string
