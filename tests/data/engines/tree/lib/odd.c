int odd(char *a)
{
    char b[9];

    return gets(b) != 0;
}
