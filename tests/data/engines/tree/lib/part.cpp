#include "part.h"
#include <vector>
#include <cstring>

int part(int n)
{
    int v[3];
    std::vector<int> list;
    char *p = new char[8];

    memset(p, 0, n);
    if (n > 0) {
        v[0] = n;
    }
    delete p;
    for (auto it = list.begin(); it != list.end(); ++it) {
        if (*it == n) {
            list.erase(it);
        }
    }
    return v[0] / (n - n) + v[3];
}
