package state

var other = "a variable of another file"
